import type { ByteSource } from "../../flow/passing.ts";
import { cutOff, hasMemoryAlone, releaseBytes } from "../../runtime/release-bytes.ts";
import type { ResponseHead } from "./head.ts";
import type { RawConnection } from "./raw-connection.ts";

/** The longest line between chunks or in a trailer, in bytes. */
const maxLineBytes = 8 * 1024;
const maxTrailerLines = 100;

/**
 * The body that follows a head. Calls `done` once, when the body is read to its end or given up, with
 * whether the connection can be used again. A body with a length that ends early just ends: its reader
 * knows the length and checks it.
 */
export function bodyOf(
  connection: RawConnection,
  { framing, keepsAlive }: ResponseHead,
  done: (reusable: boolean) => void,
): ByteSource {
  let over = false;
  const finish = (reusable: boolean): void => {
    if (over) return;
    over = true;
    done(reusable);
  };
  const next =
    framing === "chunked"
      ? chunkedBytes(connection)
      : sizedBytes(connection, framing === "close" ? Infinity : framing);
  const read: ByteSource["read"] = async () => {
    if (over) return { done: true };
    try {
      const bytes = await next();
      if (bytes.value !== undefined && !bytes.last) return { done: false, value: bytes.value };
      finish(bytes.last && keepsAlive);
      return bytes.value === undefined ? { done: true } : { done: false, value: bytes.value };
    } catch (error) {
      finish(false);
      throw error;
    }
  };
  if (framing === 0) finish(keepsAlive);
  return {
    read,
    cancel() {
      finish(false);
      return Promise.resolve();
    },
  };
}

/** The next bytes of a body, if any, and whether they are the last. */
interface BodyBytes {
  value: Uint8Array | undefined;
  last: boolean;
}

function sizedBytes(connection: RawConnection, length: number): () => Promise<BodyBytes> {
  let left = length;
  return async () => {
    const value = await take(connection, left);
    left -= value?.length ?? 0;
    return { value, last: left === 0 };
  };
}

/** RFC 9112, section 7.1: extensions and trailers are read and ignored. */
function chunkedBytes(connection: RawConnection): () => Promise<BodyBytes> {
  /** Bytes left of the current chunk; undefined before the first. */
  let left: number | undefined;
  return async () => {
    if (left === undefined || left === 0) {
      if (left === 0 && (await readLine(connection)) !== "")
        throw notChunked("a chunk is not terminated");
      left = chunkSize(await readLine(connection));
      if (left === 0) {
        for (let lines = 0; (await readLine(connection)) !== ""; lines += 1) {
          if (lines === maxTrailerLines) throw notChunked("the trailer is not terminated");
        }
        return { value: undefined, last: true };
      }
    }
    const value = await take(connection, left);
    if (value === undefined) throw closedEarly();
    left -= value.length;
    return { value, last: false };
  };
}

/** The next bytes, at most `most`. Undefined when the connection has ended. */
async function take(connection: RawConnection, most: number): Promise<Uint8Array | undefined> {
  const bytes = await connection.read();
  if (bytes === undefined) return undefined;
  const { length } = bytes;
  if (length <= most && hasMemoryAlone(bytes)) return bytes;
  // A copy: a part can't be given back by who has used it, and the whole would wait for the garbage collection.
  const part = new Uint8Array(bytes.subarray(0, most));
  if (length > most) connection.pushBack(cutOff(bytes, most));
  else releaseBytes(bytes);
  return part;
}

async function readLine(connection: RawConnection): Promise<string> {
  let line = "";
  for (;;) {
    const bytes = await connection.read();
    if (bytes === undefined) throw closedEarly();
    const end = bytes.indexOf(0x0a);
    const part = end === -1 ? bytes : bytes.subarray(0, end + 1);
    if (line.length + part.length > maxLineBytes) throw notChunked("a line is not terminated");
    line += Buffer.from(part.buffer, part.byteOffset, part.length).toString("latin1");
    if (end === -1) continue;
    if (end + 1 < bytes.length) connection.pushBack(cutOff(bytes, end + 1));
    if (line.endsWith("\r\n")) return line.slice(0, -2);
    throw notChunked("a line has an invalid terminator");
  }
}

function chunkSize(line: string): number {
  const digits = /^0*([\da-f]{1,12})[ \t]*(?:;.*)?$/i.exec(line)?.[1];
  if (digits === undefined) throw notChunked("a chunk has no size");
  return Number.parseInt(digits, 16);
}

const notChunked = (why: string): Error =>
  new Error(`invalid HTTP: malformed chunked body: ${why}`);

const closedEarly = (): Error =>
  Object.assign(new Error("the connection was closed within a chunk"), { code: "ECONNRESET" });
