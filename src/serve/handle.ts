import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Answer, failureAnswer, json, refusal, text } from "./answer.ts";
import type { HubBytes } from "./hub-source.ts";
import { type Metrics } from "./metrics.ts";
import { maxTargetBytes, parseTarget } from "./request.ts";
import { type RouteName, route, type RouteOptions } from "./routes.ts";
import { sendBody, StalledClient } from "./send-body.ts";

/** What answers requests, and the limits that they have. */
export interface HandleOptions extends RouteOptions {
  metrics: Metrics;
  /** Whether the Host header names this server; others are refused. */
  isHost(header: string | undefined): boolean;
  /** Whether the Authorization header lets a client in. */
  isAllowed(authorization: string | undefined): boolean;
  /** Answers with bytes of files in progress at most; more wait a little, and are refused then. */
  maxBodies: number;
  /** How long a request waits for its turn to have bytes of a file, in milliseconds: clients give up after 10 s. */
  waiting: number;
  /** How long a client may take nothing, in milliseconds. */
  reading: number;
  /** How long a client may take to send the body of a request, in milliseconds. */
  sending: number;
  /** How many there are now, for the metrics. */
  connections(): number;
  /** A line for each request; it has no token and no query. */
  log(line: string): void;
}

/** The largest body of a POST, in bytes: paths of a model's files. */
const maxPostBytes = 1024 * 1024;

/** Of an answer that is in memory so much is written at once, in bytes: a slow client takes it bit by bit. */
const pieceBytes = 64 * 1024;

async function* pieces(body: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < body.byteLength; at += pieceBytes) {
    yield body.subarray(at, at + pieceBytes);
  }
}

/** A body of a request that is not read to its end: the connection is of no more use. */
class UnreadBody extends Error {
  readonly status: 400 | 408 | 413;

  constructor(status: 400 | 408 | 413, message: string) {
    super(message);
    this.status = status;
  }
}

/** Answers requests: what is refused for all of them first, then what their target stands for. */
export function createHandler(options: HandleOptions) {
  const { metrics, log } = options;
  const bodies = turns(options.maxBodies, options.waiting);
  return async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const started = performance.now();
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    response.on("error", () => gone.abort());
    const { route: name, answer } = await answerTo(message, gone.signal, options, bodies.count);
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

async function answerTo(
  message: IncomingMessage,
  signal: AbortSignal,
  options: HandleOptions,
  bodies: () => number,
): Promise<{ route: RouteName; answer: Answer }> {
  const { isHost, isAllowed, metrics, connections } = options;
  const { url = "/", method = "", headers, headersDistinct } = message;
  if (url.length > maxTargetBytes) return other(refusal(414, "the path is too long"));
  const hosts = headersDistinct["host"] ?? [];
  if (hosts.length !== 1 || !isHost(hosts[0])) {
    const named = hosts.length === 1 ? `the host ${shownName(hosts[0] ?? "")}` : "this host name";
    return other(refusal(421, `${named} is not served; allow it with --host-name`));
  }
  const target = parseTarget(url);
  if (target === undefined) return other(refusal(400, "the path is malformed"));
  const path = target.segments.join("/");
  if (path === "healthz") return other(reads(method) ? text("ok\n") : notAllowed(["GET", "HEAD"]));
  if (!isAllowed(headers.authorization)) {
    // Clients take the code for a model that is missing or private, and show the message.
    return other(
      refusal(401, "invalid token: set HF_TOKEN to the token of ocibundle serve (--token-file)", {
        code: "RepoNotFound",
        headers: { "www-authenticate": 'Bearer realm="ocibundle"' },
      }),
    );
  }
  if (path === "metrics") {
    const shown = metrics.text({ connections: connections(), bodies: bodies() });
    return other(
      reads(method) ? text(shown, "text/plain; version=0.0.4") : notAllowed(["GET", "HEAD"]),
    );
  }
  const found = route(target, options);
  if (found === undefined) {
    return other(reads(method) ? noSuchThing(path) : notAllowed(["GET", "HEAD"]));
  }
  if (!found.methods.includes(method)) {
    return { route: found.route, answer: notAllowed(found.methods) };
  }
  try {
    const answer = await found.answer({
      method: method as "GET" | "HEAD" | "POST",
      target,
      headers,
      body: () => readBody(message, options.sending),
      signal,
    });
    return { route: found.route, answer };
  } catch (error) {
    if (error instanceof UnreadBody) {
      const answer = refusal(error.status, error.message, { headers: { connection: "close" } });
      return { route: found.route, answer };
    }
    if (error instanceof SyntaxError)
      return { route: found.route, answer: refusal(400, error.message) };
    return { route: found.route, answer: failureAnswer(error) };
  }
}

/** A name that a client chose, for a message. */
const shownName = (name: string): string => JSON.stringify(name.slice(0, 256));

const other = (answer: Answer) => ({ route: "other" as const, answer });

const reads = (method: string): boolean => method === "GET" || method === "HEAD";

const notAllowed = (methods: readonly string[]): Answer =>
  refusal(405, "read-only: push changes to the registry", {
    headers: { allow: methods.join(", "), connection: "close" },
  });

/** Other things than models are not here; a client says that of a repository. */
function noSuchThing(path: string): Answer {
  if (path === "") return json({ service: "ocibundle" });
  const kind = /^(?:api\/)?(datasets|spaces|kernels|buckets)\//.exec(path)?.[1];
  const message =
    kind !== undefined
      ? `ocibundle serves no ${kind}`
      : path === "api/models"
        ? "models are not listed; allow it with --list"
        : `ocibundle serves no ${shownName(`/${path}`)}`;
  return refusal(404, message, { code: "RepoNotFound" });
}

/** Throws `UnreadBody` where the body is not there after `patience` milliseconds, is too large, or breaks off. */
async function readBody(message: IncomingMessage, patience: number): Promise<string> {
  const tooLarge = () => new UnreadBody(413, `the body has more than ${maxPostBytes} bytes`);
  if (Number(message.headers["content-length"] ?? 0) > maxPostBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new UnreadBody(408, `the body did not arrive within ${patience / 1000} s`)),
    patience,
  );
  const read = async (): Promise<void> => {
    for await (const chunk of message as AsyncIterable<Uint8Array>) {
      size += chunk.byteLength;
      if (size > maxPostBytes) throw tooLarge();
      chunks.push(chunk);
    }
  };
  try {
    await Promise.race([read(), late.promise]);
  } catch (error) {
    if (error instanceof UnreadBody) throw error;
    throw new UnreadBody(400, "the client disconnected before the end of the body");
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** So many at once; others wait for their turn, and fail when it takes too long. */
function turns(most: number, patience: number) {
  let running = 0;
  const waiting: (() => void)[] = [];
  return {
    count: () => running,
    async run<T>(work: () => Promise<T>): Promise<T> {
      if (running >= most) {
        await new Promise<void>((resolve, reject) => {
          const begin = (): void => {
            clearTimeout(timer);
            resolve();
          };
          const timer = setTimeout(() => {
            waiting.splice(waiting.indexOf(begin), 1);
            reject(new Error("too many concurrent responses"));
          }, patience);
          waiting.push(begin);
        });
      } else running += 1;
      try {
        return await work();
      } finally {
        // Who waits takes the turn over.
        const next = waiting.shift();
        if (next === undefined) running -= 1;
        else next();
      }
    },
  };
}
