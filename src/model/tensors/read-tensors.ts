import { readGguf } from "./gguf.ts";
import type { ReadAt, TensorFile } from "./read-at.ts";
import { readSafetensors } from "./safetensors.ts";
import { readStoredZip } from "./stored-zip.ts";

/** What files begin with; safetensors begin with a number. */
const parsers: ReadonlyMap<string, typeof readSafetensors> = new Map([
  ["GGUF", readGguf],
  ["PK\u0003\u0004", readStoredZip],
]);

/**
 * What a file of `size` bytes has of tensors, by its content and not by its name; undefined where it is of no
 * format that is known here, or odd. Throws what `readAt` throws.
 */
export async function readTensors(readAt: ReadAt, size: number): Promise<TensorFile | undefined> {
  const front = String.fromCharCode(...(await readAt(0, 4)));
  return (parsers.get(front) ?? readSafetensors)(readAt, size);
}
