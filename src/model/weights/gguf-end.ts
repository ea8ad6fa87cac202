import type { FileHandle } from "node:fs/promises";

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

/** Values in a block and bytes of it, by the type of a tensor. */
const blocks: Readonly<Record<number, readonly [values: number, bytes: number]>> = {
  0: [1, 4],
  1: [1, 2],
  2: [32, 18],
  3: [32, 20],
  6: [32, 22],
  7: [32, 24],
  8: [32, 34],
  10: [256, 84],
  11: [256, 110],
  12: [256, 144],
  13: [256, 176],
  14: [256, 210],
  24: [1, 1],
  25: [1, 2],
  26: [1, 4],
  27: [1, 8],
  28: [1, 8],
  30: [1, 2],
};

/** The header is read up to here: hundreds of thousands of tokens fit. In bytes. */
const maxHeaderBytes = 256 * 1024 * 1024;
const readBytes = 1024 * 1024;

/** Thrown inside where the file ends before its header does. */
class Ended extends Error {}

/** Thrown inside for what is no GGUF file that is known here. */
class Unknown extends Error {}

/**
 * How many bytes a GGUF file has at least by its header. `"header"` where the header itself is not whole,
 * undefined for what is no such file, or one of a kind that is not known here. Throws errno errors.
 */
export async function readGgufEnd(
  file: FileHandle,
  size: number,
): Promise<number | "header" | undefined> {
  const reader = new Reader(file, Math.min(size, maxHeaderBytes));
  try {
    return await endOf(reader);
  } catch (error) {
    if (error instanceof Ended) return size > maxHeaderBytes ? undefined : "header";
    if (error instanceof Unknown) return undefined;
    throw error;
  }
}

async function endOf(reader: Reader): Promise<number> {
  if ((await reader.text(4)) !== magic) throw new Unknown();
  const version = await reader.u32();
  // Version 1 counts in 32 bits; a large number is a version of the other byte order.
  if (version !== 2 && version !== 3) throw new Unknown();
  const tensors = await reader.u64();
  const values = await reader.u64();
  let alignment = defaultAlignment;
  for (let index = 0; index < values; index += 1) {
    const key = await reader.text(await reader.u64());
    const type = await reader.u32();
    if (key === alignmentKey && type === 4) alignment = await reader.u32();
    else await skipValue(reader, type);
  }
  let end = 0;
  for (let index = 0; index < tensors; index += 1) end = Math.max(end, await tensorEnd(reader));
  if (alignment === 0) throw new Unknown();
  const start =
    tensors === 0 ? reader.position : Math.ceil(reader.position / alignment) * alignment;
  return start + end;
}

/** Arrays of arrays are followed this far. */
const maxDepth = 4;

async function skipValue(reader: Reader, type: number, depth = 0): Promise<void> {
  const bytes = valueBytes[type];
  if (bytes !== undefined) return reader.skip(bytes);
  if (type === 8) return reader.skip(await reader.u64());
  if (type !== 9 || depth === maxDepth) throw new Unknown();
  const element = await reader.u32();
  const count = await reader.u64();
  const each = valueBytes[element];
  if (each !== undefined) return reader.skip(each * count);
  for (let index = 0; index < count; index += 1) await skipValue(reader, element, depth + 1);
}

/** Where a tensor ends, counted from where tensors begin; where it begins, when its type is not known. */
async function tensorEnd(reader: Reader): Promise<number> {
  await reader.skip(await reader.u64());
  const dimensions = await reader.u32();
  if (dimensions > 8) throw new Unknown();
  let values = 1;
  for (let index = 0; index < dimensions; index += 1) values *= await reader.u64();
  const type = await reader.u32();
  const offset = await reader.u64();
  const [each, bytes] = blocks[type] ?? [1, 0];
  return offset + Math.ceil(values / each) * bytes;
}

/** Reads little-endian numbers and texts one after another. */
class Reader {
  position = 0;
  private buffer = new Uint8Array(0);
  private start = 0;
  private readonly file: FileHandle;
  private readonly size: number;

  constructor(file: FileHandle, size: number) {
    this.file = file;
    this.size = size;
  }

  async u32(): Promise<number> {
    return (await this.take(4)).getUint32(0, true);
  }

  async u64(): Promise<number> {
    const value = Number((await this.take(8)).getBigUint64(0, true));
    if (!Number.isSafeInteger(value)) throw new Unknown();
    return value;
  }

  async text(length: number): Promise<string> {
    if (length > readBytes) throw new Unknown();
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
      const bytes = new Uint8Array(Math.max(length, Math.min(readBytes, this.size - position)));
      let filled = 0;
      while (filled < bytes.byteLength) {
        const { bytesRead } = await this.file.read(
          bytes,
          filled,
          bytes.byteLength - filled,
          position + filled,
        );
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      if (filled < length) throw new Ended();
      this.buffer = bytes.subarray(0, filled);
      this.start = position;
    }
    this.position += length;
    const at = position - this.start;
    return new DataView(this.buffer.buffer, this.buffer.byteOffset + at, length);
  }
}
