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

/** The error for a file that can't be read; what else went wrong as it is. */
export function unreadable(path: string, cause: unknown): unknown {
  const code = errno(cause);
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return cause;
  return new OcibundleError(readingCode(cause), `"${path}" ${unreadableBecause(cause)}`, {
    path,
    cause,
  });
}
