import { readGguf } from "./gguf.ts";
import type { ReadAt, TensorFile } from "./read-at.ts";
import { readSafetensors } from "./safetensors.ts";
import { readStoredZip } from "./stored-zip.ts";

/**
 * What a file of `size` bytes has of tensors, by its content and not by its name; undefined where it is of no
 * format that is known here, or odd. Throws what `readAt` throws.
 */
export async function readTensors(readAt: ReadAt, size: number): Promise<TensorFile | undefined> {
  return (
    (await readGguf(readAt, size)) ??
    (await readStoredZip(readAt, size)) ??
    (await readSafetensors(readAt, size))
  );
}
