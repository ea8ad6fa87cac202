import { Odd, type ReadAt } from "./read-at.ts";
import { GgufReader, maxHeaderBytes } from "./gguf-reader.ts";

// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md: magic, version, number of tensors, number of
// metadata values, the values, what is known of each tensor, padding, the tensors.
const magic = "GGUF";
const defaultAlignment = 32;
const alignmentKey = "general.alignment";

/** Bytes of a value by its type; those of strings (8) and arrays (9) say their own length. */
const valueBytes: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};

/** Types of tensors, with the values in a block and the bytes of it where they are known here. */
const types: Readonly<Record<number, readonly [name: string, values?: number, bytes?: number]>> = {
  0: ["F32", 1, 4],
  1: ["F16", 1, 2],
  2: ["Q4_0", 32, 18],
  3: ["Q4_1", 32, 20],
  6: ["Q5_0", 32, 22],
  7: ["Q5_1", 32, 24],
  8: ["Q8_0", 32, 34],
  9: ["Q8_1"],
  10: ["Q2_K", 256, 84],
  11: ["Q3_K", 256, 110],
  12: ["Q4_K", 256, 144],
  13: ["Q5_K", 256, 176],
  14: ["Q6_K", 256, 210],
  15: ["Q8_K"],
  16: ["IQ2_XXS"],
  17: ["IQ2_XS"],
  18: ["IQ3_XXS"],
  19: ["IQ1_S"],
  20: ["IQ4_NL"],
  21: ["IQ3_S"],
  22: ["IQ2_S"],
  23: ["IQ4_XS"],
  24: ["I8", 1, 1],
  25: ["I16", 1, 2],
  26: ["I32", 1, 4],
  27: ["I64", 1, 8],
  28: ["F64", 1, 8],
  29: ["IQ1_M"],
  30: ["BF16", 1, 2],
  34: ["TQ1_0"],
  35: ["TQ2_0"],
  39: ["MXFP4"],
};

/** What the header says of a tensor. `offset` counts from where tensors begin; `bytes` where its type is known. */
export interface TensorInfo {
  name: string;
  dtype: string | undefined;
  shape: number[];
  offset: number;
  bytes: number | undefined;
  /** Where it ends at least, counted as `offset`: exact also where the other numbers can't be. */
  end: bigint;
}

/** Throws `Odd` for a tensor that is larger than any file. */
export function checkExact({ shape, end }: TensorInfo): void {
  if (end > Number.MAX_SAFE_INTEGER || !shape.every(Number.isSafeInteger)) throw new Odd();
}

/**
 * Reads the header of a file of `size` bytes that has `most` tensors at most: each of them, and values of text and
 * numbers of 32 bits under `general.`. Answers where the tensors begin, and how they are aligned, in bytes. Throws
 * `Ended` where the file ends before, `Odd` for what is no such header, and what `readAt` throws.
 */
export async function readHeader(
  { readAt, size }: { readAt: ReadAt; size: number },
  most: number,
  onTensor: (info: TensorInfo) => void,
  onValue?: (key: string, value: string | number) => void,
): Promise<{ start: number; alignment: number }> {
  const reader = new GgufReader(readAt, Math.min(size, maxHeaderBytes));
  if ((await reader.text(4)) !== magic) throw new Odd();
  const version = await reader.u32();
  // Version 1 counts in 32 bits; a large number is a version of the other byte order.
  if (version !== 2 && version !== 3) throw new Odd();
  const tensors = await reader.u64();
  if (tensors > most) throw new Odd();
  const values = await reader.u64();
  let alignment = defaultAlignment;
  for (let index = 0; index < values; index += 1) {
    reader.count();
    const key = await reader.text(await reader.u64());
    const type = await reader.u32();
    const isWanted = onValue !== undefined && key.startsWith("general.");
    if (key === alignmentKey && type === 4) alignment = await reader.u32();
    else if (isWanted && type === 4) onValue(key, await reader.u32());
    else if (isWanted && type === 8) onValue(key, await reader.keptText());
    else await skipValue(reader, type);
  }
  for (let index = 0; index < tensors; index += 1) onTensor(await readInfo(reader));
  if (alignment === 0) throw new Odd();
  const start =
    tensors === 0 ? reader.position : Math.ceil(reader.position / alignment) * alignment;
  return { start, alignment };
}

/** Arrays of arrays are followed this far. */
const maxDepth = 4;

async function skipValue(reader: GgufReader, type: number, depth = 0): Promise<void> {
  reader.count();
  const bytes = valueBytes[type];
  if (bytes !== undefined) return reader.skip(bytes);
  if (type === 8) return reader.skip(await reader.u64());
  if (type !== 9 || depth === maxDepth) throw new Odd();
  const element = await reader.u32();
  const count = await reader.u64();
  const each = valueBytes[element];
  if (each !== undefined) return reader.skip(each * count);
  if (element === 8) return reader.skipTexts(count);
  for (let index = 0; index < count; index += 1) await skipValue(reader, element, depth + 1);
}

async function readInfo(reader: GgufReader): Promise<TensorInfo> {
  reader.count();
  const name = await reader.keptText();
  const dimensions = await reader.u32();
  if (dimensions > 8) throw new Odd();
  const shape: bigint[] = [];
  for (let index = 0; index < dimensions; index += 1) shape.push(await reader.bigU64());
  const type = await reader.u32();
  const offset = await reader.bigU64();
  const [dtype, each, bytes] = types[type] ?? [];
  const size =
    each === undefined || bytes === undefined
      ? undefined
      : sizeOf(shape, BigInt(each), BigInt(bytes));
  return {
    name,
    dtype,
    shape: shape.map(Number),
    offset: Number(offset),
    bytes: size === undefined ? undefined : Number(size),
    end: offset + (size ?? 0n),
  };
}

/** Bytes of a tensor whose values are stored in blocks of `each` values and `bytes` bytes. */
const sizeOf = (shape: readonly bigint[], each: bigint, bytes: bigint): bigint =>
  ((shape.reduce((product, length) => product * length, 1n) + each - 1n) / each) * bytes;
