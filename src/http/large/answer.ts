/*
 * GET requests whose answers may have gigabytes, on connections of our own.
 *
 * fetch was used first. Measured with `npm run bench -- --only pull` on two cores, a pull over fetch took twice
 * the CPU time of one over these connections, and half as much memory again. What is unusual is left to fetch:
 * requests through a proxy, and TLS under Deno, whose paused sockets go on reading.
 */
import { errno } from "../../errors.ts";
import type { ConnectionOptions } from "../../runtime/types.ts";
import type { ByteSource } from "../../flow/passing.ts";
import type { CheckAddresses } from "../message/checked-address.ts";
import { cutOff } from "../../runtime/release-bytes.ts";
import { bodyOf } from "./body.ts";
import { parseResponseHead, type ResponseHead } from "./head.ts";
import { openRawConnection, type RawConnection } from "./raw-connection.ts";

/** A GET whose answer may have gigabytes. */
export interface LargeRequest {
  url: URL;
  /** All request headers but `Host`. */
  headers: Readonly<Record<string, string>>;
  tls: ConnectionOptions["tls"];
  checkAddresses?: CheckAddresses | undefined;
  signal: AbortSignal;
}

/** An answer whose body is read from its own connection. */
export interface LargeAnswer {
  status: number;
  headers: Headers;
  body: ByteSource;
}

/** The longest head that is read, in bytes. */
const maxHeadBytes = 64 * 1024;
const answerStart = "HTTP/1.1 ";
/** The most interim responses ("103 Early Hints") before the final one. */
const maxInformational = 5;

/**
 * Makes GET requests on raw connections, which it keeps for later requests. Passes bytes on as the
 * system delivers them: fetch's streams cut them into chunks an eighth as large and copy them twice.
 *
 * Speaks HTTP/1.1 only. Resolves to undefined when the answer is ambiguous (see head.ts), and from then
 * on for every request to that origin: the caller uses fetch instead. Follows no redirect. Rejects with
 * Node's own errors, or the signal's reason.
 */
export function largeAnswers(): (request: LargeRequest) => Promise<LargeAnswer | undefined> {
  const idle = new Map<string, RawConnection[]>();
  const odd = new Set<string>();

  const keep = (origin: string, connection: RawConnection): void => {
    connection.idle(true);
    idle.set(origin, [...(idle.get(origin) ?? []).filter(({ isClean }) => isClean), connection]);
  };
  const kept = (origin: string): RawConnection | undefined => {
    const connections = idle.get(origin) ?? [];
    let connection = connections.pop();
    while (connection?.isClean === false) connection = connections.pop();
    return connection;
  };

  return async ({ url, headers, signal, ...options }) => {
    const { origin } = url;
    if (odd.has(origin)) return undefined;
    const text = requestText(url, headers);
    signal.throwIfAborted();
    const old = kept(origin);
    const ask = async (connection: RawConnection): Promise<LargeAnswer | undefined> => {
      const close = (): void => connection.close();
      signal.addEventListener("abort", close, { once: true });
      const letGo = (): void => signal.removeEventListener("abort", close);
      try {
        signal.throwIfAborted();
        connection.idle(false);
        connection.write(text);
        const head = await readHead(connection);
        if (head === undefined) {
          odd.add(origin);
          letGo();
          connection.close();
          return undefined;
        }
        const done = (reusable: boolean): void => {
          letGo();
          if (reusable && connection.isClean) keep(origin, connection);
          else connection.close();
        };
        return { status: head.status, headers: head.headers, body: bodyOf(connection, head, done) };
      } catch (error) {
        letGo();
        connection.close();
        throw signal.aborted ? signal.reason : error;
      }
    };
    if (old === undefined) return await ask(await openRawConnection(url, { ...options, signal }));
    try {
      return await ask(old);
    } catch (error) {
      // The server may have closed an idle connection at the same moment (RFC 9112, section 9.3.1).
      if (!(error instanceof UnansweredError)) throw error;
      return await ask(await openRawConnection(url, { ...options, signal }));
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
  // A line break in a header would start another header or request.
  if (lines.some((line) => /[^\t\x20-\x7e\x80-\xff]/.test(line))) {
    throw new TypeError("a header contains an invalid character");
  }
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** `content-type` as `Content-Type`: case has no meaning, but some proxies depend on it. */
const titled = (name: string): string =>
  name.replaceAll(/(?<=^|-)[a-z]/g, (letter) => letter.toUpperCase());

/** Reads the head of the answer and nothing behind it; undefined when it is ambiguous. */
async function readHead(connection: RawConnection): Promise<ResponseHead | undefined> {
  for (let informational = 0; informational < maxInformational; informational += 1) {
    const text = await readHeadText(connection);
    const head = text === undefined ? undefined : parseResponseHead(text);
    if (head === undefined || head.status >= 200) return head;
  }
  return undefined;
}

async function readHeadText(connection: RawConnection): Promise<string | undefined> {
  let bytes: Buffer = Buffer.alloc(0);
  for (;;) {
    const chunk = await nextBytes(connection, bytes.length);
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
    const text = bytes.toString("latin1", 0, end);
    if (bytes.length > end + 4) connection.pushBack(cutOff(bytes, end + 4));
    return text;
  }
}

/** Whether an answer begins so, as far as it has come: who speaks another protocol may wait for us. */
function isAnswer(bytes: Buffer): boolean {
  const first = bytes.toString("latin1", 0, answerStart.length);
  return answerStart.startsWith(first);
}

/** Errors of a connection that the server has closed. */
const brokenCodes = new Set(["ECONNRESET", "EPIPE"]);

async function nextBytes(connection: RawConnection, had: number): Promise<Uint8Array> {
  let cause: unknown;
  try {
    const chunk = await connection.read();
    if (chunk !== undefined) return chunk;
  } catch (error) {
    // Any other, such as the refusal of this client's certificate, is an answer of its own.
    if (!brokenCodes.has(errno(error) ?? "")) throw error;
    cause = error;
  }
  const message = "the connection was closed before a response";
  if (had === 0) throw new UnansweredError(message, { cause });
  throw Object.assign(new Error(message, { cause }), { code: "ECONNRESET" });
}
