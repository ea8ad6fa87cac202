import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import type { FileRange, Hashed } from "./worker-protocol.ts";

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
export function hashFileSync(range: FileRange, onChunk?: (bytes: number) => void): Hashed {
  chunk ??= new Uint8Array(chunkBytes);
  const hash = createHash("sha256");
  const file = openSync(range.path, "r");
  try {
    let offset = range.start;
    while (offset < range.end) {
      const wanted = Math.min(chunk.length, range.end - offset);
      const bytes = readSync(file, chunk, 0, wanted, offset);
      if (bytes === 0) break;
      hash.update(bytes === chunk.length ? chunk : chunk.subarray(0, bytes));
      offset += bytes;
      onChunk?.(bytes);
    }
    return { digest: `sha256:${hash.digest("hex")}`, size: offset - range.start };
  } finally {
    closeSync(file);
  }
}
