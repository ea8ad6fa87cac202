import { type ByteSource, chunkSource } from "../flow/passing.ts";
import type { ByteRange } from "../oci/content.ts";
import { unreadable } from "./blob-chunks.ts";
import { openRegular } from "../runtime/regular-file.ts";

/**
 * What is read before it is passed on, in bytes: pieces may be far smaller. Each chunk is handed from thread to thread,
 * which costs time; of larger ones, what a dozen uploads have read takes memory until it is collected, and little time
 * is saved.
 */
const chunkBytes = 256 * 1024;

/**
 * Pieces of a file, one after another, in chunks that are the receiver's to keep. The pieces are gone through twice.
 * Ends early when the file does; rejects with `file` or `system` for a file that can't be read, or with the signal's
 * reason.
 */
export function filePieces(
  path: string,
  pieces: Iterable<ByteRange>,
  signal: AbortSignal,
): ByteSource {
  const chunks = chunkSource(chunksOf(path, pieces, signal));
  return {
    ...chunks,
    async read() {
      try {
        return await chunks.read();
      } catch (cause) {
        throw unreadable(path, cause);
      }
    },
  };
}

async function* chunksOf(
  path: string,
  pieces: Iterable<ByteRange>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = 0;
  for (const { start, end } of pieces) left += end - start;
  const next = (): Uint8Array => new Uint8Array(Math.min(chunkBytes, left));
  await using file = await openRegular(path);
  let chunk = next();
  let filled = 0;
  for (const { start, end } of pieces) {
    for (let at = start; at < end;) {
      signal.throwIfAborted();
      const wanted = Math.min(end - at, chunk.length - filled);
      const { bytesRead } = await file.read(chunk, filled, wanted, at);
      if (bytesRead === 0) {
        if (filled > 0) yield chunk.subarray(0, filled);
        return;
      }
      at += bytesRead;
      filled += bytesRead;
      left -= bytesRead;
      if (filled < chunk.length) continue;
      yield chunk;
      chunk = next();
      filled = 0;
    }
  }
}
