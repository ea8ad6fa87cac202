import { Odd, type ReadAt } from "./read-at.ts";

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

/** The header is read up to here: hundreds of thousands of tokens fit. In bytes. */
export const maxHeaderBytes = 256 * 1024 * 1024;
const readBytes = 1024 * 1024;

/**
 * Values, lists in lists and tensors that a header has together: real ones have some thousands, and one that lies could
 * have tens of millions, which take a minute. Texts in a list are not counted, since a vocabulary has hundreds of
 * thousands.
 */
const mostItems = 1_000_000;

/** Names and texts that are kept have so many bytes together: llama.cpp takes names of 63. */
const mostTextBytes = 16 * 1024 * 1024;

/** Thrown where the file ends before its header does. */
export class Ended extends Odd {}

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
  const reader = new Reader(readAt, Math.min(size, maxHeaderBytes));
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

async function skipValue(reader: Reader, type: number, depth = 0): Promise<void> {
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

async function readInfo(reader: Reader): Promise<TensorInfo> {
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

/** Reads little-endian numbers and texts one after another. */
class Reader {
  position = 0;
  private items = 0;
  private textBytes = 0;
  private buffer: Uint8Array = new Uint8Array(0);
  private start = 0;
  private readonly readAt: ReadAt;
  private readonly size: number;

  constructor(readAt: ReadAt, size: number) {
    this.readAt = readAt;
    this.size = size;
  }

  async u32(): Promise<number> {
    return (await this.take(4)).getUint32(0, true);
  }

  /** How much of something follows. Throws `Ended` for more than any file has. */
  async u64(): Promise<number> {
    const value = Number(await this.bigU64());
    if (!Number.isSafeInteger(value)) throw new Ended();
    return value;
  }

  async bigU64(): Promise<bigint> {
    return (await this.take(8)).getBigUint64(0, true);
  }

  async text(length: number): Promise<string> {
    if (length > readBytes) throw new Odd();
    return new TextDecoder().decode(await this.take(length));
  }

  /** A text, as `text`, that is kept. Throws `Odd` for what is too much of it in all. */
  async keptText(): Promise<string> {
    const length = await this.u64();
    this.textBytes += length;
    if (this.textBytes > mostTextBytes) throw new Odd();
    return this.text(length);
  }

  /** Notes an item of the header. Throws `Odd` for too many of them. */
  count(): void {
    this.items += 1;
    if (this.items > mostItems) throw new Odd();
  }

  /** Passes over texts. Those that were read already are passed over at once: waiting for each takes microseconds. */
  async skipTexts(texts: number): Promise<void> {
    let left = texts;
    while (left > 0) {
      await this.skip(await this.u64());
      left -= 1;
      const { buffer, start } = this;
      const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
      let next = this.position - start;
      for (; left > 0 && next + 8 <= view.byteLength; left -= 1) {
        next += 8 + Number(view.getBigUint64(next, true));
      }
      await this.skip(next - (this.position - start));
    }
  }

  skip(length: number): Promise<void> {
    this.position += length;
    if (this.position > this.size) throw new Ended();
    return Promise.resolve();
  }

  private async take(length: number): Promise<DataView> {
    const { position } = this;
    if (position + length > this.size) throw new Ended();
    if (position < this.start || position + length > this.start + this.buffer.byteLength) {
      const wanted = Math.max(length, Math.min(readBytes, this.size - position));
      const bytes = await this.readAt(position, wanted);
      if (bytes.byteLength < length) throw new Ended();
      this.buffer = bytes;
      this.start = position;
    }
    this.position += length;
    const at = position - this.start;
    return new DataView(this.buffer.buffer, this.buffer.byteOffset + at, length);
  }
}
