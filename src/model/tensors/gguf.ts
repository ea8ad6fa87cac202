import { checkExact, readHeader, type TensorInfo } from "./gguf-header.ts";
import { Ended, maxHeaderBytes } from "./gguf-reader.ts";
import {
  maxTensors,
  Odd,
  type ReadAt,
  type Tensor,
  type TensorFile,
  unlessOdd,
} from "./read-at.ts";

/**
 * How many bytes a GGUF file has at least by its header, exactly. `"header"` where the header itself is not whole,
 * undefined for what is no such file, or one of a kind that is not known here. Throws errno errors.
 */
export async function readGgufEnd(
  readAt: ReadAt,
  size: number,
): Promise<number | bigint | "header" | undefined> {
  let end = 0n;
  try {
    const { start } = await readHeader({ readAt, size }, Infinity, (info) => {
      if (info.end > end) ({ end } = info);
    });
    const whole = BigInt(start) + end;
    return whole > Number.MAX_SAFE_INTEGER ? whole : Number(whole);
  } catch (error) {
    if (error instanceof Ended) return size > maxHeaderBytes ? undefined : "header";
    if (error instanceof Odd) return undefined;
    throw error;
  }
}

/**
 * The tensors of a GGUF file of `size` bytes. Undefined for any other file, and for an odd one: tensors that
 * overlap, are not aligned or leave the file, a name twice, no tensors. Throws what `readAt` throws.
 */
export const readGguf = (readAt: ReadAt, size: number): Promise<TensorFile | undefined> =>
  unlessOdd(async () => {
    const found: TensorInfo[] = [];
    const { start, alignment } = await readHeader({ readAt, size }, maxTensors, (info) => {
      checkExact(info);
      found.push(info);
    });
    found.sort((a, b) => a.offset - b.offset);
    if (new Set(found.map(({ name }) => name)).size < found.length) throw new Odd();
    if (found[0]?.offset !== 0 || start >= size) throw new Odd();
    const tensors = found.map(({ name, dtype, shape, offset, bytes }, index): Tensor => {
      const next = found[index + 1];
      const end = next === undefined ? size : start + next.offset;
      // Padding lies between what the values take and where the next tensor begins.
      if (offset % alignment !== 0 || start + offset + Math.max(bytes ?? 1, 1) > end) {
        throw new Odd();
      }
      return { name, dtype, shape, start: start + offset, end };
    });
    return { format: "gguf", header: [{ start: 0, end: start }], tensors };
  });

/** What the header of a GGUF file says of the model, and how many values its tensors have. */
export interface GgufDescription {
  /** Values of text by their keys, of those that begin with `general.`. */
  texts: ReadonlyMap<string, string>;
  /** `general.file_type`: how most tensors are stored. */
  fileType: number | undefined;
  parameters: number;
}

/** What a GGUF file says of itself; undefined for any other file, and an odd one. Throws what `readAt` throws. */
export const describeGguf = (readAt: ReadAt, size: number): Promise<GgufDescription | undefined> =>
  unlessOdd(async () => {
    const texts = new Map<string, string>();
    let fileType: number | undefined;
    let parameters = 0;
    await readHeader(
      { readAt, size },
      maxTensors,
      (info) => {
        checkExact(info);
        const { shape } = info;
        parameters += shape.reduce((product, length) => product * length, 1);
      },
      (key, value) => {
        if (typeof value === "string") texts.set(key, value);
        else if (key === "general.file_type") fileType = value;
      },
    );
    return { texts, fileType, parameters };
  });
