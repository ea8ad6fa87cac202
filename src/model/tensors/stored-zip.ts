import {
  type Extent,
  maxTensors,
  Odd,
  readExactly,
  type ReadAt,
  type Tensor,
  type TensorFile,
  u64,
  unlessOdd,
} from "./read-at.ts";

// APPNOTE.TXT of PKWARE, sections 4.3 and 4.5: records at the end name the central directory, which names the
// entries, each of which has a header of its own in front of its bytes.
const signatures = {
  local: 0x04034b50,
  central: 0x02014b50,
  end: 0x06054b50,
  end64: 0x06064b50,
  locator: 0x07064b50,
};
const bytesOf = { local: 30, central: 46, end: 22, end64: 56, locator: 20 };

const maxCommentBytes = 65_535;
/** Of each entry it has a name and 46 to 100 bytes. In bytes. */
const maxDirectoryBytes = 32 * 1024 * 1024;

/** What a field of 32 or 16 bits has where its value is in the record of 64 bits. */
const in64 = { u32: 0xffffffff, u16: 0xffff };

/**
 * The entries of a zip archive whose entries are all stored as they are, as PyTorch (`.pt`) and NumPy (`.npz`)
 * write them. What lies between the entries is the header, since it has their checksums. Undefined for any other
 * file, and for an archive in which entries overlap, leave the file or have one name. Throws what `readAt` throws.
 */
export const readStoredZip = (readAt: ReadAt, size: number): Promise<TensorFile | undefined> =>
  unlessOdd(async () => {
    if ((await readExactly(readAt, 0, 4)).getUint32(0, true) !== signatures.local) throw new Odd();
    const { offset, bytes, count } = await findDirectory(readAt, size);
    const entries = entriesOf(await readExactly(readAt, offset, bytes), count);
    const tensors: Tensor[] = [];
    const empty: Tensor[] = [];
    for await (const { name, length, header, start } of withHeaders(readAt, entries)) {
      if (header.getUint32(0, true) !== signatures.local) throw new Odd();
      if (start + length > offset) throw new Odd();
      const tensor = { name, dtype: undefined, shape: undefined, start, end: start + length };
      if (length > 0) tensors.push(tensor);
      else if (!name.endsWith("/")) empty.push(tensor);
    }
    tensors.sort((a, b) => a.start - b.start);
    if (tensors.length === 0) throw new Odd();
    return { format: "zip", header: between(tensors, size), tensors, empty };
  });

/** Headers so near to each other are read at once, and so many bytes at most: each read of a blob is a request. */
const nearBytes = 64 * 1024;
const mostAtOnce = 1024 * 1024;

/** Entries with the headers in front of their bytes, and where these begin, in the order of the file. */
async function* withHeaders(readAt: ReadAt, entries: readonly Entry[]) {
  const sorted = entries.toSorted((a, b) => a.at - b.at);
  for (let from = 0; from < sorted.length;) {
    const first = sorted[from]?.at ?? 0;
    let to = from + 1;
    for (let last = first; ; to += 1) {
      const at = sorted[to]?.at ?? Infinity;
      if (at - last > nearBytes || at - first > mostAtOnce) break;
      last = at;
    }
    const group = sorted.slice(from, to);
    const end = (group.at(-1)?.at ?? first) + bytesOf.local;
    const read = await readExactly(readAt, first, end - first);
    for (const { at, ...entry } of group) {
      const header = new DataView(read.buffer, read.byteOffset + at - first, bytesOf.local);
      const start = at + bytesOf.local + header.getUint16(26, true) + header.getUint16(28, true);
      yield { ...entry, header, start };
    }
    from = to;
  }
}

/** Everything outside the tensors. Throws `Odd` where they overlap. */
function between(tensors: readonly Tensor[], size: number): Extent[] {
  const header: Extent[] = [];
  let front = 0;
  for (const { start, end } of [...tensors, { start: size, end: size }]) {
    if (start < front) throw new Odd();
    if (start > front) header.push({ start: front, end: start });
    front = end;
  }
  return header;
}

interface Directory {
  offset: number;
  bytes: number;
  count: number;
}

async function findDirectory(readAt: ReadAt, size: number): Promise<Directory> {
  const tailBytes = Math.min(size, bytesOf.end + maxCommentBytes);
  const tail = await readExactly(readAt, size - tailBytes, tailBytes);
  let at = tailBytes - bytesOf.end;
  while (at >= 0 && !isEnd(tail, at)) at -= 1;
  if (at < 0) throw new Odd();
  const count = tail.getUint16(at + 10, true);
  const bytes = tail.getUint32(at + 12, true);
  const offset = tail.getUint32(at + 16, true);
  const is64 = count === in64.u16 || bytes === in64.u32 || offset === in64.u32;
  const end = size - tailBytes + at;
  const found = is64 ? await findDirectory64(readAt, end) : { offset, bytes, count };
  if (found.count > maxTensors || found.bytes > maxDirectoryBytes) throw new Odd();
  if (found.offset + found.bytes > end) throw new Odd();
  return found;
}

/** A record whose comment reaches exactly to the end of the file. */
const isEnd = (tail: DataView, at: number): boolean =>
  tail.getUint32(at, true) === signatures.end &&
  at + bytesOf.end + tail.getUint16(at + 20, true) === tail.byteLength;

async function findDirectory64(readAt: ReadAt, end: number): Promise<Directory> {
  if (end < bytesOf.locator) throw new Odd();
  const locator = await readExactly(readAt, end - bytesOf.locator, bytesOf.locator);
  if (locator.getUint32(0, true) !== signatures.locator) throw new Odd();
  const record = await readExactly(readAt, u64(locator, 8), bytesOf.end64);
  if (record.getUint32(0, true) !== signatures.end64) throw new Odd();
  return { count: u64(record, 32), bytes: u64(record, 40), offset: u64(record, 48) };
}

interface Entry {
  name: string;
  /** Where its own header is. */
  at: number;
  length: number;
}

function entriesOf(directory: DataView, count: number): Entry[] {
  const entries: Entry[] = [];
  let at = 0;
  for (let index = 0; index < count; index += 1) {
    if (at + bytesOf.central > directory.byteLength) throw new Odd();
    if (directory.getUint32(at, true) !== signatures.central) throw new Odd();
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) =>
      directory.getUint16(at + field, true),
    ) as [number, number, number];
    const next = at + bytesOf.central + nameBytes + extraBytes + commentBytes;
    if (next > directory.byteLength) throw new Odd();
    const isEncrypted = (directory.getUint16(at + 8, true) & 1) === 1;
    const method = directory.getUint16(at + 10, true);
    const sizes = sizesOf(directory, at, nameBytes, extraBytes);
    if (isEncrypted || method !== 0 || sizes.packed !== sizes.length) throw new Odd();
    const name = textOf(directory, at + bytesOf.central, nameBytes);
    entries.push({ name, at: sizes.offset, length: sizes.length });
    at = next;
  }
  if (new Set(entries.map(({ name }) => name)).size < entries.length) throw new Odd();
  return entries;
}

const textOf = (view: DataView, at: number, length: number): string =>
  new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + at, length));

/** Sizes and offset of an entry: those of 32 bits, or of the extra field 1 where they do not fit. */
function sizesOf(directory: DataView, at: number, nameBytes: number, extraBytes: number) {
  const sizes = {
    length: directory.getUint32(at + 24, true),
    packed: directory.getUint32(at + 20, true),
    offset: directory.getUint32(at + 42, true),
  };
  let field = at + bytesOf.central + nameBytes;
  const end = field + extraBytes;
  while (field + 4 <= end) {
    const [id, bytes] = [directory.getUint16(field, true), directory.getUint16(field + 2, true)];
    const [from, to] = [field + 4, field + 4 + bytes];
    if (to > end) throw new Odd();
    if (id === 1) {
      let value = from;
      for (const key of ["length", "packed", "offset"] as const) {
        if (sizes[key] !== in64.u32) continue;
        if (value + 8 > to) throw new Odd();
        sizes[key] = u64(directory, value);
        value += 8;
      }
    }
    field = to;
  }
  return sizes;
}
