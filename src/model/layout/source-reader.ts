import type { BlobSource } from "../../oci/content.ts";
import { blobChunks } from "../../store/blob-chunks.ts";
import type { ReadAt } from "../tensors/read-at.ts";

/** Reads pieces of a content of `size` bytes, each by a range of its own. */
export const sourceReader =
  (source: BlobSource, size: number, signal: AbortSignal): ReadAt =>
  async (position, length) => {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, size - position)));
    let filled = 0;
    const range = { start: position, end: position + bytes.byteLength };
    if (bytes.byteLength === 0) return bytes;
    for await (const chunk of blobChunks(source, range, signal)) {
      bytes.set(chunk.subarray(0, bytes.byteLength - filled), filled);
      filled += Math.min(chunk.byteLength, bytes.byteLength - filled);
      if (filled === bytes.byteLength) break;
    }
    return bytes.subarray(0, filled);
  };
