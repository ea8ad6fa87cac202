import type { ByteRange } from "../../oci/content.ts";

/** Which bytes of a file are there: ranges in order, none touching another. */
export interface RangeSet {
  readonly ranges: readonly ByteRange[];
  /** How many bytes are there. */
  readonly bytes: number;
  /** Up to where everything from the first byte on is there. */
  readonly front: number;
  add(range: ByteRange): void;
  /** What is there of a range is not there any more. */
  remove(range: ByteRange): void;
  /** The parts of `range` that are not there, in order. */
  missing(range: ByteRange): ByteRange[];
}

/** A set of the byte ranges given; they may overlap. */
export function rangeSet(initial: readonly ByteRange[] = []): RangeSet {
  const ranges: ByteRange[] = [];
  let bytes = 0;

  const add = ({ start, end }: ByteRange): void => {
    if (start >= end) return;
    const first = firstEndingAt(ranges, start);
    let last = first;
    for (let range = ranges[last]; range && range.start <= end; range = ranges[++last]) {
      bytes -= range.end - range.start;
      start = Math.min(start, range.start);
      end = Math.max(end, range.end);
    }
    ranges.splice(first, last - first, { start, end });
    bytes += end - start;
  };

  const remove = ({ start, end }: ByteRange): void => {
    if (start >= end) return;
    const first = firstEndingAt(ranges, start);
    const left: ByteRange[] = [];
    let last = first;
    for (let range = ranges[last]; range && range.start < end; range = ranges[++last]) {
      bytes -= range.end - range.start;
      if (range.start < start) left.push({ start: range.start, end: Math.min(range.end, start) });
      if (range.end > end) left.push({ start: Math.max(range.start, end), end: range.end });
    }
    ranges.splice(first, last - first, ...left);
    for (const range of left) bytes += range.end - range.start;
  };

  for (const range of initial) add(range);
  return {
    ranges,
    add,
    remove,
    get bytes() {
      return bytes;
    },
    get front() {
      const [first] = ranges;
      return first?.start === 0 ? first.end : 0;
    },
    missing({ start, end }) {
      const gaps: ByteRange[] = [];
      let at = start;
      for (let index = firstEndingAt(ranges, start); at < end; index += 1) {
        const range = ranges[index];
        const gapEnd = Math.min(end, range?.start ?? end);
        if (at < gapEnd) gaps.push({ start: at, end: gapEnd });
        if (range === undefined) break;
        at = Math.max(at, range.end);
      }
      return gaps;
    },
  };
}

/** The index of the first range that ends at `position` or behind it. */
function firstEndingAt(ranges: readonly ByteRange[], position: number): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const range = ranges[middle];
    if (range !== undefined && range.end < position) low = middle + 1;
    else high = middle;
  }
  return low;
}
