import { createHash } from "node:crypto";
import { closeSync, readSync } from "node:fs";
import { made } from "../flow/made.ts";
import { PartPlaces, rangeInFile } from "./part-places.ts";
import type { FileRange, Hashed, PlacedPart } from "./worker-protocol.ts";
import { openRegularSync } from "./regular-file.ts";

// Small enough to stay in a core's cache between the kernel's copy and the hash: measured as fast as
// reading ahead in a second thread, and it leaves the other core to another file.
const chunkBytes = 256 * 1024;

let chunk: Uint8Array | undefined;

/**
 * Hashes a range of a file in this thread, a chunk at a time.
 *
 * `onChunk` is told the number of bytes read after each chunk, and ends the work by throwing.
 * Blocks: for files of more than a megabyte or so, use the worker pool. Throws errno errors.
 */
export const hashFileSync = (
  { path, start, end }: FileRange,
  onChunk?: (bytes: number) => void,
): Hashed => hashRanges(path, [{ start, end }], onChunk);

/** The same of a part that lies in several places of a file; ends where the file does. */
export const hashPlacesSync = (
  { path, places }: PlacedPart,
  onChunk?: (bytes: number) => void,
): Hashed => hashRanges(path, made(new PartPlaces(places), rangeInFile), onChunk);

function hashRanges(
  path: string,
  ranges: Iterable<{ start: number; end: number }>,
  onChunk: ((bytes: number) => void) | undefined,
): Hashed {
  chunk ??= new Uint8Array(chunkBytes);
  const hash = createHash("sha256");
  const file = openRegularSync(path);
  let size = 0;
  try {
    for (const { start, end } of ranges) {
      let offset = start;
      while (offset < end) {
        const wanted = Math.min(chunk.length, end - offset);
        const bytes = readSync(file, chunk, 0, wanted, offset);
        if (bytes === 0) break;
        hash.update(bytes === chunk.length ? chunk : chunk.subarray(0, bytes));
        offset += bytes;
        size += bytes;
        onChunk?.(bytes);
      }
    }
    return { digest: `sha256:${hash.digest("hex")}`, size };
  } finally {
    closeSync(file);
  }
}
