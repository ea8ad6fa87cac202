// Bytes of elements of a fixed width as planes: the first bytes of all elements, then the second ones. In weights
// the bytes with sign and exponent are much alike, and those of the mantissa are not: apart, they compress.

/** Bytes of an element: 2 as in bf16 and fp16, 4 as in fp32. */
export type PlaneWidth = 2 | 4;

/** How many bytes each plane of so many bytes has; of elements that are not whole, the first planes have one more. */
export const planeSizes = (bytes: number, width: PlaneWidth): number[] =>
  Array.from({ length: width }, (_, plane) => Math.ceil(Math.max(0, bytes - plane) / width));

/** Sorts the bytes of a block into its planes, which have the sizes that `planeSizes` says. */
export function splitPlanes(block: Uint8Array, planes: readonly Uint8Array[]): void {
  let done = 0;
  const words = wordsOf(block);
  const [a, b, c, d] = planes.map(wordsOf);
  if (words !== undefined && a !== undefined && b !== undefined) {
    if (planes.length === 2) done = 8 * splitTwo(words, a, b);
    else if (c !== undefined && d !== undefined) done = 16 * splitFour(words, [a, b, c, d]);
  }
  const width = planes.length;
  for (const [index, plane] of planes.entries()) {
    for (let at = done / width; at < plane.length; at += 1) {
      plane[at] = block[at * width + index] ?? 0;
    }
  }
}

/** Puts a block together from its planes: undoes `splitPlanes`. */
export function mergePlanes(planes: readonly Uint8Array[], block: Uint8Array): void {
  let done = 0;
  const words = wordsOf(block);
  const [a, b, c, d] = planes.map(wordsOf);
  if (words !== undefined && a !== undefined && b !== undefined) {
    if (planes.length === 2) done = 8 * mergeTwo(words, a, b);
    else if (c !== undefined && d !== undefined) done = 16 * mergeFour(words, [a, b, c, d]);
  }
  const width = planes.length;
  for (const [index, plane] of planes.entries()) {
    for (let at = done / width; at < plane.length; at += 1) {
      block[at * width + index] = plane[at] ?? 0;
    }
  }
}

// Whole words take half the time of single bytes. The order of bytes in a word must be little-endian for that.
const isLittleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** The whole words of some bytes; undefined where they do not lie as words must. */
function wordsOf(bytes: Uint8Array): Uint32Array | undefined {
  if (!isLittleEndian || bytes.byteOffset % 4 !== 0) return undefined;
  return new Uint32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / 4));
}

/** Answers how many words each plane got. */
function splitTwo(words: Uint32Array, low: Uint32Array, high: Uint32Array): number {
  const count = Math.min(Math.floor(words.length / 2), low.length, high.length);
  for (let at = 0; at < count; at += 1) {
    const x = words[2 * at] ?? 0;
    const y = words[2 * at + 1] ?? 0;
    low[at] = (x & 0xff) | ((x >>> 8) & 0xff00) | ((y & 0xff) << 16) | ((y & 0xff0000) << 8);
    high[at] =
      ((x >>> 8) & 0xff) | ((x >>> 16) & 0xff00) | ((y << 8) & 0xff0000) | (y & 0xff000000);
  }
  return count;
}

/** Answers how many words of each plane were taken. */
function mergeTwo(words: Uint32Array, low: Uint32Array, high: Uint32Array): number {
  const count = Math.min(Math.floor(words.length / 2), low.length, high.length);
  for (let at = 0; at < count; at += 1) {
    const x = low[at] ?? 0;
    const y = high[at] ?? 0;
    words[2 * at] = (x & 0xff) | ((y & 0xff) << 8) | ((x & 0xff00) << 8) | ((y & 0xff00) << 16);
    words[2 * at + 1] =
      ((x >>> 16) & 0xff) | ((y >>> 8) & 0xff00) | ((x >>> 8) & 0xff0000) | (y & 0xff000000);
  }
  return count;
}

type FourPlanes = readonly [Uint32Array, Uint32Array, Uint32Array, Uint32Array];

function splitFour(words: Uint32Array, [a, b, c, d]: FourPlanes): number {
  const count = Math.min(Math.floor(words.length / 4), a.length, b.length, c.length, d.length);
  for (let at = 0; at < count; at += 1) {
    const w = words[4 * at] ?? 0;
    const x = words[4 * at + 1] ?? 0;
    const y = words[4 * at + 2] ?? 0;
    const z = words[4 * at + 3] ?? 0;
    a[at] = (w & 0xff) | ((x & 0xff) << 8) | ((y & 0xff) << 16) | (z << 24);
    b[at] = ((w >>> 8) & 0xff) | (x & 0xff00) | ((y & 0xff00) << 8) | ((z & 0xff00) << 16);
    c[at] = ((w >>> 16) & 0xff) | ((x >>> 8) & 0xff00) | (y & 0xff0000) | ((z & 0xff0000) << 8);
    d[at] = (w >>> 24) | ((x >>> 16) & 0xff00) | ((y >>> 8) & 0xff0000) | (z & 0xff000000);
  }
  return count;
}

function mergeFour(words: Uint32Array, [a, b, c, d]: FourPlanes): number {
  const count = Math.min(Math.floor(words.length / 4), a.length, b.length, c.length, d.length);
  for (let at = 0; at < count; at += 1) {
    const w = a[at] ?? 0;
    const x = b[at] ?? 0;
    const y = c[at] ?? 0;
    const z = d[at] ?? 0;
    words[4 * at] = (w & 0xff) | ((x & 0xff) << 8) | ((y & 0xff) << 16) | (z << 24);
    words[4 * at + 1] =
      ((w >>> 8) & 0xff) | (x & 0xff00) | ((y & 0xff00) << 8) | ((z & 0xff00) << 16);
    words[4 * at + 2] =
      ((w >>> 16) & 0xff) | ((x >>> 8) & 0xff00) | (y & 0xff0000) | ((z & 0xff0000) << 8);
    words[4 * at + 3] =
      (w >>> 24) | ((x >>> 16) & 0xff00) | ((y >>> 8) & 0xff0000) | (z & 0xff000000);
  }
  return count;
}
