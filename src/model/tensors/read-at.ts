import type { FileHandle } from "node:fs/promises";

/** Reads `length` bytes from `position` on, fewer where the content ends: of a file, or of a blob by ranges. */
export type ReadAt = (position: number, length: number) => Promise<Uint8Array>;

/** One tensor, or what takes its place in a format without tensors. */
export interface Tensor {
  name: string;
  /** As the format calls it: `BF16`, `Q4_K`; undefined where it is not known. */
  dtype: string | undefined;
  shape: readonly number[] | undefined;
  /** Where its bytes lie in the file: `start` up to but not including `end`. */
  start: number;
  end: number;
}

/** Bytes `start` up to but not including `end` of a file. */
export interface Extent {
  start: number;
  end: number;
}

/** What a file of tensors holds. Header and tensors together are the whole file, each byte once. */
export interface TensorFile {
  format: "safetensors" | "gguf" | "zip";
  /** What is no tensor, in the order of the file. */
  header: Extent[];
  /** In the order of the file, none of them empty; padding between two belongs to the one before it. */
  tensors: Tensor[];
  /** Those without bytes, which lie nowhere. */
  empty?: Tensor[] | undefined;
}

/** All tensors of a file, in its order: an empty one is in front of the one that begins where it is said to be. */
export const allTensors = ({ tensors, empty = [] }: TensorFile): readonly Tensor[] =>
  empty.length === 0 ? tensors : [...empty, ...tensors].toSorted((a, b) => a.start - b.start);

/** Models have some ten thousand tensors; a file with more is not looked into. */
export const maxTensors = 100_000;

/** Thrown inside parsers for what is not a file of their format, or an odd one. */
export class Odd extends Error {}

/** What `parse` makes, or undefined where it finds the file odd. */
export async function unlessOdd<T>(parse: () => Promise<T>): Promise<T | undefined> {
  try {
    return await parse();
  } catch (error) {
    if (error instanceof Odd) return undefined;
    throw error;
  }
}

/** Exactly `length` bytes. Throws `Odd` where there are fewer. */
export async function readExactly(
  readAt: ReadAt,
  position: number,
  length: number,
): Promise<DataView> {
  const bytes = await readAt(position, length);
  if (bytes.byteLength < length) throw new Odd();
  return new DataView(bytes.buffer, bytes.byteOffset, length);
}

/** A number of 64 bits that can be counted exactly. Throws `Odd` for a larger one. */
export function u64(view: DataView, at: number): number {
  const value = Number(view.getBigUint64(at, true));
  if (!Number.isSafeInteger(value)) throw new Odd();
  return value;
}

/** Reads from an open file. Rejects with errno errors. */
export const fileReader =
  (file: FileHandle): ReadAt =>
  async (position, length) => {
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  };
