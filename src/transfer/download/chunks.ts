import type { ByteRange } from "../../oci/content.ts";

/** The bytes of `range` out of chunks that begin at `position`. */
export function cutChunks(
  chunks: readonly Uint8Array[],
  position: number,
  range: ByteRange,
): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (const chunk of chunks) {
    const start = Math.max(0, range.start - position);
    const end = Math.min(chunk.length, range.end - position);
    if (start < end) parts.push(chunk.subarray(start, end));
    position += chunk.length;
  }
  return parts;
}

/** What is left after the first `bytes` bytes of the chunks. */
export function dropBytes(chunks: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const left: Uint8Array[] = [];
  for (const chunk of chunks) {
    const skip = Math.min(bytes, chunk.length);
    bytes -= skip;
    if (skip < chunk.length) left.push(chunk.subarray(skip));
  }
  return left;
}
