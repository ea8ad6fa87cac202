import type { FileHandle } from "node:fs/promises";

const chunkBytes = 1024 * 1024;

/** The first `size` bytes of a file in chunks, each valid until the next. */
export async function* readChunks(
  file: FileHandle,
  size: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunk = new Uint8Array(Math.min(chunkBytes, size));
  for (let offset = 0; offset < size;) {
    const wanted = Math.min(chunk.length, size - offset);
    const { bytesRead } = await file.read(chunk, 0, wanted, offset);
    if (bytesRead === 0) return;
    offset += bytesRead;
    yield chunk.subarray(0, bytesRead);
  }
}
