import {
  maxTensors,
  Odd,
  type ReadAt,
  type Tensor,
  type TensorFile,
  u64,
  unlessOdd,
} from "./read-at.ts";

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
const maxHeaderBytes = 256 * 1024 * 1024;
const readBytes = 1024 * 1024;

/** Thrown inside where the file ends before its header does. */
class Ended extends Odd {}

/**
 * How many bytes a GGUF file has at least by its header. `"header"` where the header itself is not whole,
 * undefined for what is no such file, or one of a kind that is not known here. Throws errno errors.
 */
export async function readGgufEnd(
  readAt: ReadAt,
  size: number,
): Promise<number | "header" | undefined> {
  const reader = new Reader(readAt, Math.min(size, maxHeaderBytes));
  let end = 0;
  try {
    const { start } = await readHeader(reader, Infinity, ({ offset, bytes }) => {
      end = Math.max(end, offset + (bytes ?? 0));
    });
    return start + end;
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
    const reader = new Reader(readAt, Math.min(size, maxHeaderBytes));
    const { start, alignment } = await readHeader(reader, maxTensors, (info) => found.push(info));
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
    const reader = new Reader(readAt, Math.min(size, maxHeaderBytes));
    await readHeader(
      reader,
      maxTensors,
      ({ shape }) => {
        parameters += shape.reduce((product, length) => product * length, 1);
      },
      (key, value) => {
        if (typeof value === "string") texts.set(key, value);
        else if (key === "general.file_type") fileType = value;
      },
    );
    return { texts, fileType, parameters };
  });

/** What the header says of a tensor. `offset` counts from where tensors begin; `bytes` where its type is known. */
interface TensorInfo {
  name: string;
  dtype: string | undefined;
  shape: number[];
  offset: number;
  bytes: number | undefined;
}

async function readHeader(
  reader: Reader,
  most: number,
  onTensor: (info: TensorInfo) => void,
  onValue?: (key: string, value: string | number) => void,
): Promise<{ start: number; alignment: number }> {
  if ((await reader.text(4)) !== magic) throw new Odd();
  const version = await reader.u32();
  // Version 1 counts in 32 bits; a large number is a version of the other byte order.
  if (version !== 2 && version !== 3) throw new Odd();
  const tensors = await reader.u64();
  if (tensors > most) throw new Odd();
  const values = await reader.u64();
  let alignment = defaultAlignment;
  for (let index = 0; index < values; index += 1) {
    const key = await reader.text(await reader.u64());
    const type = await reader.u32();
    const isWanted = onValue !== undefined && key.startsWith("general.");
    if (key === alignmentKey && type === 4) alignment = await reader.u32();
    else if (isWanted && type === 4) onValue(key, await reader.u32());
    else if (isWanted && type === 8) onValue(key, await reader.text(await reader.u64()));
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
  const bytes = valueBytes[type];
  if (bytes !== undefined) return reader.skip(bytes);
  if (type === 8) return reader.skip(await reader.u64());
  if (type !== 9 || depth === maxDepth) throw new Odd();
  const element = await reader.u32();
  const count = await reader.u64();
  const each = valueBytes[element];
  if (each !== undefined) return reader.skip(each * count);
  for (let index = 0; index < count; index += 1) await skipValue(reader, element, depth + 1);
}

async function readInfo(reader: Reader): Promise<TensorInfo> {
  const name = await reader.text(await reader.u64());
  const dimensions = await reader.u32();
  if (dimensions > 8) throw new Odd();
  const shape: number[] = [];
  for (let index = 0; index < dimensions; index += 1) shape.push(await reader.u64());
  const type = await reader.u32();
  const offset = await reader.u64();
  const [dtype, each, bytes] = types[type] ?? [];
  const values = shape.reduce((product, length) => product * length, 1);
  return {
    name,
    dtype,
    shape,
    offset,
    bytes: each === undefined || bytes === undefined ? undefined : Math.ceil(values / each) * bytes,
  };
}

/** Reads little-endian numbers and texts one after another. */
class Reader {
  position = 0;
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

  async u64(): Promise<number> {
    return u64(await this.take(8), 0);
  }

  async text(length: number): Promise<string> {
    if (length > readBytes) throw new Odd();
    return new TextDecoder().decode(await this.take(length));
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
