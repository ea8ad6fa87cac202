import type { ByteSource } from "../message/body.ts";
import type { ResponseHead } from "./head.ts";
import type { Wire } from "./wire.ts";

/** A line between chunks, or of a trailer, longer than this is no HTTP of use. In bytes. */
const maxLineBytes = 8 * 1024;
const maxTrailerLines = 100;

/**
 * The body behind a head. `done` is called once, when it is read or given up, with whether the
 * connection can serve again. A body with a length that ends early just ends: who reads it knows how
 * many bytes there were to be.
 */
export function bodyOf(
  wire: Wire,
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
      ? chunkedBytes(wire)
      : sizedBytes(wire, framing === "close" ? Infinity : framing);
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

/** Bytes of a body, if any more came, and whether it is known to be complete with them. */
interface BodyBytes {
  value: Uint8Array | undefined;
  last: boolean;
}

function sizedBytes(wire: Wire, length: number): () => Promise<BodyBytes> {
  let left = length;
  return async () => {
    const value = await take(wire, left);
    left -= value?.length ?? 0;
    return { value, last: left === 0 };
  };
}

/** RFC 9112, section 7.1: extensions and trailers are read and mean nothing. */
function chunkedBytes(wire: Wire): () => Promise<BodyBytes> {
  /** Of the chunk that is read; undefined in front of the first. */
  let left: number | undefined;
  return async () => {
    if (left === undefined || left === 0) {
      if (left === 0 && (await readLine(wire)) !== "") throw notChunked("a chunk has no end");
      left = chunkSize(await readLine(wire));
      if (left === 0) {
        for (let lines = 0; (await readLine(wire)) !== ""; lines += 1) {
          if (lines === maxTrailerLines) throw notChunked("its trailer has no end");
        }
        return { value: undefined, last: true };
      }
    }
    const value = await take(wire, left);
    if (value === undefined) throw closedEarly();
    left -= value.length;
    return { value, last: false };
  };
}

/** The next bytes, `most` at the most; the rest stays to be read. Undefined at the connection's end. */
async function take(wire: Wire, most: number): Promise<Uint8Array | undefined> {
  const bytes = await wire.read();
  if (bytes === undefined || bytes.length <= most) return bytes;
  wire.unread(bytes.subarray(most));
  return bytes.subarray(0, most);
}

async function readLine(wire: Wire): Promise<string> {
  let line = "";
  for (;;) {
    const bytes = await wire.read();
    if (bytes === undefined) throw closedEarly();
    const end = bytes.indexOf(0x0a);
    const part = end === -1 ? bytes : bytes.subarray(0, end + 1);
    if (line.length + part.length > maxLineBytes) throw notChunked("a line has no end");
    line += Buffer.from(part.buffer, part.byteOffset, part.length).toString("latin1");
    if (end === -1) continue;
    if (end + 1 < bytes.length) wire.unread(bytes.subarray(end + 1));
    if (line.endsWith("\r\n")) return line.slice(0, -2);
    throw notChunked("a line has another end than it must have");
  }
}

function chunkSize(line: string): number {
  const digits = /^0*([\da-f]{1,12})[ \t]*(?:;.*)?$/i.exec(line)?.[1];
  if (digits === undefined) throw notChunked("a chunk has no size");
  return Number.parseInt(digits, 16);
}

const notChunked = (why: string): Error =>
  new Error(`invalid HTTP: the body is not in chunks: ${why}`);

const closedEarly = (): Error =>
  Object.assign(new Error("the connection was closed inside of a chunk"), { code: "ECONNRESET" });
