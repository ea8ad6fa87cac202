import type { IncomingMessage, ServerResponse } from "node:http";
import type { HubBytes } from "./hub-source.ts";
import { sendBody, StalledClient } from "./send-body.ts";
import { turns } from "./turns.ts";
import { type AnswerOptions, answerRequest } from "./answer-request.ts";

/** What answers requests, and the limits that answers with bytes of files have. */
export interface HandleOptions extends AnswerOptions {
  /** Answers with bytes of files in progress at most; more wait a little, and are refused then. */
  maxBodies: number;
  /** How long a request waits for its turn to have bytes of a file, in milliseconds: clients give up after 10 s. */
  waiting: number;
  /** How long a client may take nothing, in milliseconds. */
  reading: number;
  /** A line for each request; it has no token and no query. */
  log(line: string): void;
}

/** Of an answer that is in memory so much is written at once, in bytes: a slow client takes it bit by bit. */
const pieceBytes = 64 * 1024;

async function* pieces(body: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < body.byteLength; at += pieceBytes) {
    yield body.subarray(at, at + pieceBytes);
  }
}

/** Answers requests, sends the answers, and notes each in the log and the metrics. */
export function createHandler(options: HandleOptions) {
  const { metrics, log } = options;
  const bodies = turns(options.maxBodies, options.waiting);
  return async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const started = performance.now();
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    response.on("error", () => gone.abort());
    const { route: name, answer } = await answerRequest(
      message,
      gone.signal,
      options,
      bodies.count,
    );
    const { method } = message;
    const sent = { bytes: 0 };
    let isBegun = false;
    let end = "";
    try {
      response.writeHead(answer.status, { ...standing, ...answer.headers });
      if (method === "HEAD" || answer.body === undefined) {
        response.end();
      } else {
        const { body } = answer;
        const isWhole =
          body instanceof Uint8Array
            ? await send(response, pieces(body), sent)
            : await bodies.run(() => sendBytes(response, body, sent));
        if (isWhole) response.end();
        // Some close the connection as soon as they have the last byte.
        else if (String(sent.bytes) !== answer.headers["content-length"])
          end = ", the client disconnected";
      }
    } catch (error) {
      const reason = error instanceof StalledClient ? "stalled" : "failed";
      metrics.cut(reason);
      end = `, aborted: ${error instanceof Error ? error.message : String(error)}`;
      // Bytes that are written and not taken yet would keep the rest waiting.
      message.socket.destroy();
      if (!isBegun && answer.body !== undefined && !(answer.body instanceof Uint8Array))
        release(answer.body);
      throw error;
    } finally {
      const took = (performance.now() - started) / 1000;
      metrics.answered(name, answer.status, took);
      log(
        `${method} ${pathOf(message)} ${answer.status} ${sent.bytes} bytes ${took.toFixed(3)} s${end}`,
      );
    }

    async function sendBytes(
      to: ServerResponse,
      { from, chunks }: HubBytes,
      counter: { bytes: number },
    ): Promise<boolean> {
      isBegun = true;
      metrics.began(from);
      return send(to, chunks, counter, (bytes) => metrics.sent(from, bytes));
    }

    function send(
      to: ServerResponse,
      chunks: AsyncIterable<Uint8Array>,
      counter: { bytes: number },
      also?: (bytes: number) => void,
    ): Promise<boolean> {
      const onSent = (bytes: number): void => {
        counter.bytes += bytes;
        also?.(bytes);
      };
      return sendBody(to, chunks, { gone: gone.signal, patience: options.reading, onSent });
    }
  };
}

/** Lets go of bytes that nobody has asked for: their file is open, and is closed by whoever reads them. */
function release({ chunks }: HubBytes): void {
  const read = async (): Promise<void> => {
    for await (const _ of chunks) break;
  };
  read().catch(() => undefined);
}

/** What every answer has: it is for no page of another site, and no guess at what it is. */
const standing = { "x-content-type-options": "nosniff", "cache-control": "private, no-cache" };

const pathOf = ({ url = "/" }: IncomingMessage): string =>
  JSON.stringify((url.split("?")[0] ?? "").slice(0, 512)).slice(1, -1);
