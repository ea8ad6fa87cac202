import { readGgufEnd } from "../tensors/gguf.ts";
import { parseShallowJson } from "../tensors/shallow-json.ts";
import { fileReader, type ReadAt } from "../tensors/read-at.ts";
import { maxParsedHeader, maxSafetensorsHeader } from "../tensors/safetensors.ts";
import { openRegular } from "../../runtime/regular-file.ts";

/** Git LFS writes less than this for a file that it keeps elsewhere (git-lfs/docs/spec.md). In bytes. */
const maxPointerBytes = 1024;
const pointerStart = "version https://git-lfs.github.com/spec/v1\n";

/**
 * What shows that a weight file is not the whole file that its name promises, as the end of a sentence that
 * starts with its name, or undefined: a Git LFS pointer, or a safetensors or GGUF file that its header makes
 * larger or smaller than it is, as a download that broke off leaves them. A file that only has such a name is
 * left alone. Throws errno errors.
 */
export async function incompleteBecause(path: string, size: number): Promise<string | undefined> {
  const isTensors = /\.safetensors$/i.test(path);
  const isGguf = /\.gguf$/i.test(path);
  if (size >= maxPointerBytes && !isTensors && !isGguf) return undefined;
  if (size === 0) return undefined;
  await using file = await openRegular(path);
  const readAt = fileReader(file);
  if (size < maxPointerBytes) {
    const start = await readAt(0, pointerStart.length);
    if (new TextDecoder().decode(start) === pointerStart) {
      return "is a Git LFS pointer, not the file itself";
    }
  }
  const end = isTensors
    ? await readTensorsEnd(readAt, size)
    : isGguf
      ? await readGgufEnd(readAt, size)
      : undefined;
  if (end === undefined) return undefined;
  if (end === "header") {
    return `is truncated: its header is longer than the ${size} bytes of the file`;
  }
  if (typeof end === "object")
    return `has ${size} bytes, its header says that its tensors have ${end.tensors}`;
  if (end > size) return `is truncated: it has ${size} of ${end} bytes`;
  if (end < size && isTensors) return `has ${size} bytes, its header says ${end}`;
  return undefined;
}

/**
 * How many bytes a safetensors file has by its header: 8 bytes of the header's length, the header, the
 * tensors. `"header"` where the header itself is not whole, undefined for what is no such file. Where a tensor ends
 * beyond what can be counted, the end as the header has it, in bytes from the first tensor.
 */
async function readTensorsEnd(
  readAt: ReadAt,
  size: number,
): Promise<number | "header" | { tensors: string } | undefined> {
  const start = await readAt(0, 9);
  if (start.byteLength < 9 || start[8] !== 0x7b) return undefined;
  const length = Number(view(start).getBigUint64(0, true));
  if (length > maxSafetensorsHeader) return undefined;
  if (8 + length > size) return "header";
  // Taking a larger one apart takes ten times its size of memory.
  if (length > maxParsedHeader) return undefined;
  try {
    const { text, value } = parseShallowJson(await readAt(8, length));
    const end = endOfTensors(value);
    // Rounded, it would be a number that the file does not have.
    if (!Number.isSafeInteger(8 + length + end)) return { tensors: asWritten(text, end) };
    return 8 + length + end;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** How the largest end of a tensor, which is `end` when it is rounded, is written in a header. */
function asWritten(header: string, end: number): string {
  const ends = new Map<unknown, string>();
  let written = "";
  function note(this: unknown, key: string, value: unknown, { source }: { source?: string }) {
    if (key === "1" && value === end && source !== undefined) ends.set(this, source);
    if (key === "data_offsets") written = larger(written, ends.get(value));
    return value;
  }
  (JSON.parse as (text: string, reviver: typeof note) => unknown)(header, note);
  if (written === "") return String(end);
  return written.length > mostDigits ? `${written.slice(0, mostDigits)}…` : written;
}

/** A header may write a number with as many digits as it is long: more of them say nothing. */
const mostDigits = 40;

/** The larger of two numbers of JSON; the first one where they can't be compared. */
function larger(one: string, other = ""): string {
  const isInteger = /^\d+$/.test(one) && /^\d+$/.test(other);
  // JSON has no leading zeros, so the longer one is larger.
  const isLarger = other.length === one.length ? other > one : other.length > one.length;
  return one === "" || (isInteger && isLarger) ? other : one;
}

function endOfTensors(header: unknown): number {
  let end = 0;
  for (const [name, tensor] of Object.entries(header ?? {})) {
    if (name === "__metadata__") continue;
    const offsets = (tensor as { data_offsets?: unknown } | null)?.data_offsets;
    const last: unknown = Array.isArray(offsets) ? offsets[1] : undefined;
    if (typeof last === "number" && last > end) end = last;
  }
  return end;
}

const view = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
