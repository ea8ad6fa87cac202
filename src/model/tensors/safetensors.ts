import { runtime } from "../../runtime/current.ts";
import {
  maxTensors,
  Odd,
  readExactly,
  type ReadAt,
  type Tensor,
  type TensorFile,
  u64,
  unlessOdd,
} from "./read-at.ts";
import { parseShallowJson } from "./shallow-json.ts";

/** The library for safetensors refuses headers that are larger. In bytes. */
export const maxSafetensorsHeader = 100_000_000;

/** A header is taken apart up to here: more tensors than are looked at fit. In bytes. */
export const maxParsedHeader = 16 * 1024 * 1024;

/** From this size on, memory is cleared after a header was parsed, in bytes: that takes some milliseconds. */
const longHeader = 1024 * 1024;

/** What a header says of a tensor. It may say more. */
interface TensorInHeader {
  dtype: string;
  shape: number[];
  data_offsets: [start: number, end: number];
}

const isSize = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;

const isShape = (value: unknown): boolean =>
  Array.isArray(value) && value.length <= 64 && value.every((length) => isSize(length));

const isPair = (value: unknown): boolean =>
  Array.isArray(value) && isSize(value[0]) && isSize(value[1]);

/** Looked at where it is: a schema would make a copy of each of a hundred thousand. */
function isTensor(said: unknown): said is TensorInHeader {
  if (typeof said !== "object" || said === null) return false;
  const { dtype, shape, data_offsets } = said as Partial<Record<string, unknown>>;
  return typeof dtype === "string" && isShape(shape) && isPair(data_offsets);
}

/**
 * The tensors of a safetensors file of `size` bytes: 8 bytes of the header's length, the header in JSON, the
 * tensors. Undefined for any other file, and for one that breaks a rule of the format: tensors that overlap or
 * leave the file, a name twice, no tensors. Throws what `readAt` throws.
 */
export const readSafetensors = (readAt: ReadAt, size: number): Promise<TensorFile | undefined> =>
  unlessOdd(async () => {
    const front = await readExactly(readAt, 0, 9);
    const length = u64(front, 0);
    if (front.getUint8(8) !== 0x7b) throw new Odd();
    if (length > maxParsedHeader || 8 + length > size) throw new Odd();
    const parsed = parseHeader(await readExactly(readAt, 8, length));
    // The text and what parsing left: several times what a long header makes.
    if (length >= longHeader) runtime.collectGarbage();
    const header = [{ start: 0, end: 8 + length }];
    return { format: "safetensors", header, ...tensorsOf(parsed, 8 + length, size) };
  });

/** A header as it says what it has, which is not checked. */
function parseHeader(header: DataView): Readonly<Record<string, unknown>> {
  try {
    const { text, value } = parseShallowJson(
      new Uint8Array(header.buffer, header.byteOffset, header.byteLength),
    );
    const parsed = value as Record<string, unknown>;
    delete parsed["__metadata__"];
    // Of two members with one name JSON keeps the last; each tensor has offsets, so that they can be counted.
    const named = countOf(/"data_offsets"\s*:/g, text);
    if (named !== Object.keys(parsed).length || named > maxTensors) throw new Odd();
    return parsed;
  } catch {
    throw new Odd();
  }
}

/** How often a global pattern is in a text. */
function countOf(pattern: RegExp, text: string): number {
  let count = 0;
  while (pattern.test(text)) count += 1;
  return count;
}

function tensorsOf(
  said: Readonly<Record<string, unknown>>,
  base: number,
  size: number,
): Pick<TensorFile, "tensors" | "empty"> {
  const tensors: Tensor[] = [];
  const empty: Tensor[] = [];
  // A hundred thousand tensors have a few shapes.
  const shapes = new Map<string, number[]>();
  for (const name of Object.keys(said)) {
    const tensor = said[name];
    if (!isTensor(tensor)) throw new Odd();
    const { dtype, data_offsets } = tensor;
    const key = String(tensor.shape);
    const shape = shapes.get(key) ?? tensor.shape;
    shapes.set(key, shape);
    const [start, end] = [base + data_offsets[0], base + data_offsets[1]];
    if (start > end || end > size) throw new Odd();
    (start < end ? tensors : empty).push({ name, dtype, shape, start, end });
  }
  tensors.sort((a, b) => a.start - b.start);
  return { tensors: filled(tensors, base, size), empty };
}

/** Tensors one after another up to the file's end. Throws `Odd` where they overlap, or do not reach from end to end. */
function filled(tensors: Tensor[], base: number, size: number): Tensor[] {
  if (tensors[0]?.start !== base || tensors.at(-1)?.end !== size) throw new Odd();
  for (const [index, tensor] of tensors.entries()) {
    const next = tensors[index + 1]?.start ?? size;
    if (tensor.end > next) throw new Odd();
    tensor.end = next;
  }
  return tensors;
}
