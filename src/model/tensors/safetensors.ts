import * as v from "valibot";
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

const Size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const TensorSchema = v.looseObject({
  dtype: v.string(),
  shape: v.pipe(v.array(Size), v.maxLength(64)),
  data_offsets: v.tuple([Size, Size]),
});

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
    const header = await readExactly(readAt, 8, length);
    const entries = parseHeader(header);
    // The text and what parsing left: several times what a long header makes.
    if (length >= longHeader) runtime.collectGarbage();
    const tensors = tensorsOf(entries, 8 + length, size);
    if (length >= longHeader) runtime.collectGarbage();
    return { format: "safetensors", header: [{ start: 0, end: 8 + length }], tensors };
  });

function parseHeader(header: DataView): [name: string, tensor: unknown][] {
  let text: string;
  let parsed: unknown;
  try {
    ({ text, value: parsed } = parseShallowJson(
      new Uint8Array(header.buffer, header.byteOffset, header.byteLength),
    ));
  } catch {
    throw new Odd();
  }
  const entries = Object.entries(parsed as object).filter(([name]) => name !== "__metadata__");
  // Of two members with one name JSON keeps the last; each tensor has offsets, so that they can be counted.
  const named = countOf(/"data_offsets"\s*:/g, text);
  if (named !== entries.length || named > maxTensors) throw new Odd();
  return entries;
}

/** How often a global pattern is in a text. */
function countOf(pattern: RegExp, text: string): number {
  let count = 0;
  while (pattern.test(text)) count += 1;
  return count;
}

function tensorsOf(
  entries: readonly (readonly [string, unknown])[],
  base: number,
  size: number,
): Tensor[] {
  const tensors: Tensor[] = [];
  for (const [name, said] of entries) {
    const parsed = v.safeParse(TensorSchema, said);
    if (!parsed.success) throw new Odd();
    const { dtype, shape, data_offsets } = parsed.output;
    const [start, end] = [base + data_offsets[0], base + data_offsets[1]];
    if (start > end || end > size) throw new Odd();
    if (start < end) tensors.push({ name, dtype, shape, start, end });
  }
  tensors.sort((a, b) => a.start - b.start);
  return filled(tensors, base, size);
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
