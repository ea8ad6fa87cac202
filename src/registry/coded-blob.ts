import { Readable, type Transform } from "node:stream";
import { errno, OcibundleError } from "../errors.ts";
import { type ByteSource, passing } from "../flow/passing.ts";
import {
  codingNames,
  codingsOf,
  type ContentCoding,
  decodePrefix,
  decoder,
  mayBeCoded,
} from "../http/message/content-coding.ts";
import type { Descriptor } from "../oci/descriptor.ts";

/** The cause of an error that says that a blob was read in the wrong one of two ways; the next try takes the other. */
class MisreadCoding extends Error {}

/** Whether a blob is to be read anew, from its first byte, because its coding was misread. */
export const isMisread = (error: unknown): error is OcibundleError =>
  error instanceof OcibundleError && error.cause instanceof MisreadCoding;

/** Blobs whose Content-Encoding is known to be true (`coded`) or a mere label (`labelled`), by digest. */
export type KnownCodings = Map<string, "coded" | "labelled">;

/** What of a body's first bytes is looked at. */
const prefixBytes = 512;

/**
 * The bytes of a blob out of a whole answer that has a Content-Encoding. Servers put it on blobs that
 * are sent as they are stored, and proxies compress what passes: the blob's size decides where the
 * answer has a length, else how the bytes begin. Fails with {@link MisreadCoding} when the number of
 * bytes shows that it was the other.
 */
export async function codedBlob(
  body: ReadableStream<Uint8Array>,
  {
    headers,
    length,
    descriptor,
    known,
    name,
  }: {
    headers: Headers;
    /** The answer's Content-Length. */
    length: number | undefined;
    descriptor: Descriptor;
    known: KnownCodings;
    /** The blob's, for messages. */
    name: string;
  },
): Promise<ReadableStream<Uint8Array>> {
  const { digest, size } = descriptor;
  const codings = codingsOf(headers);
  if (length === size || codings === undefined) return body;
  const reader = body.getReader();
  const prefix = await readPrefix(reader);
  const way =
    known.get(digest) ??
    (length !== undefined || looksCoded(join(prefix), codings, descriptor) ? "coded" : "labelled");
  const misread = (why: string, cause?: unknown): OcibundleError => {
    // One of the two is right: what fails in both ways is damaged.
    known.set(digest, way === "coded" ? "labelled" : "coded");
    return new OcibundleError("integrity", `${name}: ${why}`, {
      cause: new MisreadCoding(`its Content-Encoding is ${codingNames(headers).join(", ")}`, {
        cause,
      }),
    });
  };
  const raw = bytesOf(prefix, reader);
  const chunks = way === "labelled" ? raw : decoded(raw, codings);
  return exactly(chunks, size, misread);
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

async function readPrefix(reader: Reader): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for (let size = 0; size < prefixBytes;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    size += value.byteLength;
  }
  return chunks;
}

const join = (chunks: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(Buffer.concat(chunks).subarray(0, prefixBytes));

/** Whether a body of unknown length looks as if it was compressed on its way. */
function looksCoded(
  prefix: Uint8Array,
  [coding]: readonly ContentCoding[],
  { mediaType }: Descriptor,
): boolean {
  if (coding === undefined || !mayBeCoded(prefix, coding)) return false;
  const inside = decodePrefix(prefix, coding);
  if (inside === undefined) return false;
  // A blob that is compressed itself begins in the same way; below the coding it would once more.
  const stored = /[+.](?:gzip|zstd)$/.exec(mediaType)?.[0].slice(1);
  return stored === coding ? mayBeCoded(inside, coding) : true;
}

async function* bytesOf(
  prefix: readonly Uint8Array[],
  reader: Reader,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* prefix;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Errors of the body stay what they are; those of a decoder have a code of zlib's. */
function decoded(
  raw: AsyncIterable<Uint8Array>,
  codings: readonly ContentCoding[],
): AsyncIterable<Uint8Array> {
  let from: Readable = Readable.from(raw);
  for (const coding of codings) {
    const to: Transform = decoder(coding);
    const before = from;
    before.on("error", (error) => to.destroy(error));
    to.on("close", () => before.destroy());
    from = before.pipe(to);
  }
  return from;
}

/** Exactly `size` bytes, or the error that `misread` makes of what is wrong. */
function exactly(
  chunks: AsyncIterable<Uint8Array>,
  size: number,
  misread: (why: string, cause?: unknown) => OcibundleError,
): ReadableStream<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  const source: ByteSource = {
    async read() {
      try {
        const { done, value } = await iterator.next();
        return done === true ? { done } : { done: false, value };
      } catch (error) {
        const isCoding = /^(?:Z_|ZSTD_|ERR_)/.test(errno(error) ?? "");
        throw isCoding ? misread("the response cannot be decompressed", error) : error;
      }
    },
    async cancel() {
      await iterator.return?.();
    },
  };
  let seen = 0;
  const wrongSize = (has: string): OcibundleError =>
    misread(`the response has ${has} bytes, the descriptor has ${size}`);
  return passing(source, {
    onChunk(chunk) {
      seen += chunk.byteLength;
      if (seen > size) throw wrongSize(`more than ${size}`);
    },
    onEnd() {
      if (seen !== size) throw wrongSize(String(seen));
    },
  });
}
