import { OcibundleError, errno } from "../errors.ts";
import type { BlobSource, ByteRange } from "../oci/content.ts";
import { fileChunks } from "./file-chunks.ts";
import { readingCode, unreadableBecause } from "../runtime/file-faults.ts";

/**
 * The bytes of `range` of a blob, whatever its source, in any chunking.
 *
 * A chunk is valid until the next one is asked for. Ends early when the source does: whoever verifies
 * notices. Throws `file` or `system` for a file that can't be read.
 */
export async function* blobChunks(
  source: BlobSource,
  range: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  signal.throwIfAborted();
  switch (source.kind) {
    case "bytes":
      yield source.bytes.subarray(range.start, range.end);
      return;
    case "file": {
      const { path, offset } = source;
      await source.check?.();
      try {
        yield* fileChunks(path, offset + range.start, offset + range.end, signal);
      } catch (cause) {
        throw unreadable(path, cause);
      }
      return;
    }
    case "stream": {
      const stream = await source.open(range, signal);
      for await (const chunk of stream) {
        signal.throwIfAborted();
        yield chunk;
      }
    }
  }
}

/** The bytes of a range of a blob, in one piece. Fewer where the source ends early; throws as `blobChunks`. */
export async function blobBytes(
  source: BlobSource,
  { start, end }: ByteRange,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(end - start);
  let filled = 0;
  for await (const chunk of blobChunks(source, { start, end }, signal)) {
    const taken = chunk.subarray(0, bytes.length - filled);
    bytes.set(taken, filled);
    filled += taken.length;
  }
  return bytes.subarray(0, filled);
}

/** The error for a file that can't be read; what else went wrong as it is. */
export function unreadable(path: string, cause: unknown): unknown {
  const code = errno(cause);
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return cause;
  return new OcibundleError(readingCode(cause), `"${path}" ${unreadableBecause(cause)}`, {
    path,
    cause,
  });
}
