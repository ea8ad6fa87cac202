import { errno } from "../../errors.ts";
import type { ConnectionOptions } from "../../runtime/types.ts";
import type { ByteSource } from "../message/body.ts";
import { bodyOf } from "./body.ts";
import { parseResponseHead, type ResponseHead } from "./head.ts";
import { connectWire, type Wire } from "./wire.ts";

/** A GET whose answer may be gigabytes. */
export interface LargeRequest {
  url: URL;
  /** All that are sent but `Host`. */
  headers: Readonly<Record<string, string>>;
  tls: ConnectionOptions["tls"];
  signal: AbortSignal;
}

export interface LargeAnswer {
  status: number;
  headers: Headers;
  body: ByteSource;
}

/** A head longer than this is not read, in bytes. */
const maxHeadBytes = 64 * 1024;
const answerStart = "HTTP/1.1 ";
/** Answers such as "103 Early Hints" in front of the one that counts. */
const maxInformational = 5;

/**
 * Makes GET requests on connections of its own, and keeps those. The answer's bytes are handed on as
 * the system gave them: fetch's streams cut them into chunks an eighth as large and copy them twice,
 * for three times the CPU time.
 *
 * Speaks plain HTTP/1.1 and nothing else: resolves to undefined where the answer leaves a doubt (see
 * response-head.ts), and for every further request to that origin, which are for fetch then. Follows no
 * redirect. Rejects with Node's own errors, or the signal's reason.
 */
export function largeAnswers(): (request: LargeRequest) => Promise<LargeAnswer | undefined> {
  const idle = new Map<string, Wire[]>();
  const odd = new Set<string>();

  const keep = (origin: string, wire: Wire): void => {
    wire.idle(true);
    idle.set(origin, [...(idle.get(origin) ?? []).filter(({ quiet }) => quiet), wire]);
  };
  const kept = (origin: string): Wire | undefined => {
    const wires = idle.get(origin) ?? [];
    let wire = wires.pop();
    while (wire?.quiet === false) wire = wires.pop();
    return wire;
  };

  return async ({ url, headers, tls, signal }) => {
    const { origin } = url;
    if (odd.has(origin)) return undefined;
    const text = requestText(url, headers);
    signal.throwIfAborted();
    const old = kept(origin);
    const ask = async (wire: Wire): Promise<LargeAnswer | undefined> => {
      const close = (): void => wire.close();
      signal.addEventListener("abort", close, { once: true });
      const letGo = (): void => signal.removeEventListener("abort", close);
      try {
        signal.throwIfAborted();
        wire.idle(false);
        wire.write(text);
        const head = await readHead(wire);
        if (head === undefined) {
          odd.add(origin);
          letGo();
          wire.close();
          return undefined;
        }
        const done = (reusable: boolean): void => {
          letGo();
          if (reusable && wire.quiet) keep(origin, wire);
          else wire.close();
        };
        return { status: head.status, headers: head.headers, body: bodyOf(wire, head, done) };
      } catch (error) {
        letGo();
        wire.close();
        throw signal.aborted ? signal.reason : error;
      }
    };
    if (old === undefined) return await ask(await connectWire(url, tls, signal));
    try {
      return await ask(old);
    } catch (error) {
      // The server may have closed a kept connection at the same moment (RFC 9112, section 9.3.1).
      if (!(error instanceof UnansweredError)) throw error;
      return await ask(await connectWire(url, tls, signal));
    }
  };
}

/** The connection ended before the first byte of an answer. */
class UnansweredError extends Error {
  readonly code = "ECONNRESET";
}

function requestText(url: URL, headers: Readonly<Record<string, string>>): string {
  const lines = [
    `GET ${url.pathname}${url.search} HTTP/1.1`,
    `Host: ${url.host}`,
    ...Object.entries(headers).map(([name, value]) => `${titled(name)}: ${value}`),
  ];
  // What would be read as a further line would be a request that nobody made.
  if (lines.some((line) => /[^\t\x20-\x7e\x80-\xff]/.test(line))) {
    throw new TypeError("a header holds a character that no header can hold");
  }
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** `content-type` as `Content-Type`: case means nothing, but to some proxy somewhere. */
const titled = (name: string): string =>
  name.replaceAll(/(?<=^|-)[a-z]/g, (letter) => letter.toUpperCase());

/** The head of the answer, undefined where there is a doubt. What follows it stays to be read. */
async function readHead(wire: Wire): Promise<ResponseHead | undefined> {
  for (let informational = 0; informational < maxInformational; informational += 1) {
    const text = await readHeadText(wire);
    const head = text === undefined ? undefined : parseResponseHead(text);
    if (head === undefined || head.status >= 200) return head;
  }
  return undefined;
}

async function readHeadText(wire: Wire): Promise<string | undefined> {
  let bytes: Buffer = Buffer.alloc(0);
  for (;;) {
    const chunk = await nextBytes(wire, bytes.length);
    const searched = Math.max(0, bytes.length - 3);
    bytes =
      bytes.length === 0
        ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
        : Buffer.concat([bytes, chunk]);
    if (!isAnswer(bytes)) return undefined;
    const end = bytes.indexOf("\r\n\r\n", searched, "latin1");
    if (end > maxHeadBytes || (end === -1 && bytes.length > maxHeadBytes)) return undefined;
    if (end === -1) {
      // A head whose lines end in a bare LF has no end to wait for.
      if (/[^\r]\n/.test(bytes.toString("latin1", searched))) return undefined;
      continue;
    }
    const rest = bytes.subarray(end + 4);
    if (rest.length > 0) wire.unread(rest);
    return bytes.toString("latin1", 0, end);
  }
}

/** Whether an answer begins so, as far as it has come: who speaks another protocol may wait for us. */
function isAnswer(bytes: Buffer): boolean {
  const first = bytes.toString("latin1", 0, answerStart.length);
  return answerStart.startsWith(first);
}

/** What a connection that the server has closed may end with. */
const brokenCodes = new Set(["ECONNRESET", "EPIPE"]);

async function nextBytes(wire: Wire, had: number): Promise<Uint8Array> {
  let cause: unknown;
  try {
    const chunk = await wire.read();
    if (chunk !== undefined) return chunk;
  } catch (error) {
    // Any other, such as the refusal of this client's certificate, is an answer of its own.
    if (!brokenCodes.has(errno(error) ?? "")) throw error;
    cause = error;
  }
  const message = "the connection was closed in front of an answer";
  if (had === 0) throw new UnansweredError(message, { cause });
  throw Object.assign(new Error(message, { cause }), { code: "ECONNRESET" });
}
