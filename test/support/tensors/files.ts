import type { ReadAt } from "../../../src/model/tensors/read-at.ts";
import { text, u16, u32, u64 } from "./little-endian.ts";

// Files of tensors as their libraries write them, and ways to write them wrongly.

export const readerOf =
  (bytes: Uint8Array): ReadAt =>
  (position, length) =>
    Promise.resolve(bytes.subarray(position, position + length));

/** A safetensors file with this header, as text. */
export const withHeader = (header: string, data: Uint8Array): Buffer =>
  Buffer.concat([u64(Buffer.byteLength(header)), Buffer.from(header), data]);

/** A safetensors file of tensors of bytes, one after another. */
export function safetensors(tensors: readonly (readonly [string, Uint8Array])[]): Buffer {
  let front = 0;
  const entries = tensors.map(([name, data]) => {
    const data_offsets = [front, (front += data.byteLength)];
    return [name, { dtype: "U8", shape: [data.byteLength], data_offsets }];
  });
  const header = JSON.stringify(Object.fromEntries(entries));
  return withHeader(header, Buffer.concat(tensors.map(([, data]) => data)));
}

export interface GgufTensor {
  name: string;
  /** Values of 8 bits. */
  values: number;
  offset: number | bigint;
  type?: number;
}

/** A GGUF file of tensors at these offsets, and so many bytes of them; `more` are further values as they are written. */
export function gguf(
  tensors: readonly GgufTensor[],
  dataBytes: number,
  alignment = 32,
  more: { count: number; bytes: Uint8Array } = { count: 0, bytes: Buffer.alloc(0) },
): Buffer {
  const header = Buffer.concat([
    Buffer.from("GGUF"),
    u32(3),
    u64(tensors.length),
    u64(1 + more.count),
    text("general.alignment"),
    u32(4),
    u32(alignment),
    more.bytes,
    ...tensors.flatMap(({ name, values, offset, type = 24 }) => [
      text(name),
      u32(1),
      u64(values),
      u32(type),
      u64(offset),
    ]),
  ]);
  const padding = alignment === 0 ? 0 : (alignment - (header.length % alignment)) % alignment;
  return Buffer.concat([header, Buffer.alloc(padding), Buffer.alloc(dataBytes)]);
}

export interface ZipEntry {
  name: string;
  data: Uint8Array;
  method?: number;
  flags?: number;
  /** Where the directory says its header is. */
  at?: number;
  /** How long the directory says it is. */
  length?: number;
}

/** A zip archive of stored entries; `is64` writes the directory's place as archives beyond 4 GiB do. */
export function zip(entries: readonly ZipEntry[], { is64 = false, comment = "" } = {}): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let front = 0;
  for (const {
    name,
    data,
    method = 0,
    flags = 0,
    at = front,
    length = data.byteLength,
  } of entries) {
    const extra = Buffer.concat([u16(0xbabe), u16(7), Buffer.alloc(7)]);
    const common = [u16(20), u16(flags), u16(method), u32(0), u32(0)];
    const local = [u32(0x04034b50), ...common, u32(length), u32(length)];
    locals.push(
      ...local,
      u16(Buffer.byteLength(name)),
      u16(extra.length),
      Buffer.from(name),
      extra,
    );
    locals.push(Buffer.from(data));
    const sizes = is64 ? [u32(0xffffffff), u32(0xffffffff)] : [u32(length), u32(length)];
    const extra64 = is64
      ? Buffer.concat([u16(1), u16(24), u64(length), u64(length), u64(at)])
      : Buffer.alloc(0);
    central.push(
      Buffer.concat([
        u32(0x02014b50),
        u16(20),
        ...common,
        ...sizes,
        u16(Buffer.byteLength(name)),
        u16(extra64.length),
        u16(0),
        u16(0),
        u16(0),
        u32(0),
        u32(is64 ? 0xffffffff : at),
        Buffer.from(name),
        extra64,
      ]),
    );
    front = locals.reduce((sum, bytes) => sum + bytes.length, 0);
  }
  const directory = Buffer.concat(central);
  const end64 = is64
    ? [
        u32(0x06064b50),
        u64(44),
        u16(45),
        u16(45),
        u32(0),
        u32(0),
        u64(entries.length),
        u64(entries.length),
        u64(directory.length),
        u64(front),
        u32(0x07064b50),
        u32(0),
        u64(front + directory.length),
        u32(1),
      ]
    : [];
  const counts = is64 ? [u16(0xffff), u16(0xffff)] : [u16(entries.length), u16(entries.length)];
  const place = is64 ? [u32(0xffffffff), u32(0xffffffff)] : [u32(directory.length), u32(front)];
  return Buffer.concat([
    ...locals,
    directory,
    ...end64,
    u32(0x06054b50),
    u16(0),
    u16(0),
    ...counts,
    ...place,
    u16(comment.length),
    Buffer.from(comment),
  ]);
}
