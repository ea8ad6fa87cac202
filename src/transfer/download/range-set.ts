import type { ByteRange } from "../../oci/content.ts";

/** Which bytes of a file are there: iterates over the ranges in order, none touching another. */
export interface RangeSet extends Iterable<ByteRange> {
  /** All of them, as a list that is made when it is asked for: there can be very many. */
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

/**
 * Some ranges in order: the start of the first, its end, the start of the second, and so on. A file that is put
 * together from pieces of a few bytes has hundreds of thousands of ranges for a while: in one list each would move
 * half of the others.
 */
type Block = number[];

/** So many numbers are in one block at most. */
const blockNumbers = 1024;

/** A place among the blocks, before the range whose start is there; behind the last range at the end of its block. */
interface Spot {
  block: number;
  at: number;
}

/** A set of the byte ranges given; they may overlap. */
export function rangeSet(initial: Iterable<ByteRange> = []): RangeSet {
  const blocks: Block[] = [[]];
  let bytes = 0;

  const add = ({ start, end }: ByteRange): void => {
    if (start >= end) return;
    const first = firstEndingAt(blocks, start);
    if (addAlone(blocks, first, start, end)) {
      bytes += end - start;
      return;
    }
    const last = { ...first };
    for (let range = rangeAt(blocks, last); range && range.start <= end;) {
      bytes -= range.end - range.start;
      start = Math.min(start, range.start);
      end = Math.max(end, range.end);
      range = nextRange(blocks, last);
    }
    replace(blocks, first, last, [start, end]);
    bytes += end - start;
  };

  const remove = ({ start, end }: ByteRange): void => {
    if (start >= end) return;
    const first = firstEndingAt(blocks, start);
    const last = { ...first };
    const left: number[] = [];
    for (let range = rangeAt(blocks, last); range && range.start < end;) {
      bytes -= range.end - range.start;
      if (range.start < start) left.push(range.start, Math.min(range.end, start));
      if (range.end > end) left.push(Math.max(range.start, end), range.end);
      range = nextRange(blocks, last);
    }
    replace(blocks, first, last, left);
    for (let at = 0; at < left.length; at += 2) bytes += (left[at + 1] ?? 0) - (left[at] ?? 0);
  };

  for (const range of initial) add(range);
  return {
    add,
    remove,
    get ranges() {
      return [...rangesOf(blocks)];
    },
    [Symbol.iterator]: () => rangesOf(blocks),
    get bytes() {
      return bytes;
    },
    get front() {
      const [start, end = 0] = blocks[0] ?? [];
      return start === 0 ? end : 0;
    },
    missing({ start, end }) {
      const gaps: ByteRange[] = [];
      let at = start;
      const spot = firstEndingAt(blocks, start);
      for (let range = rangeAt(blocks, spot); at < end; range = nextRange(blocks, spot)) {
        const gapEnd = Math.min(end, range?.start ?? end);
        if (at < gapEnd) gaps.push({ start: at, end: gapEnd });
        if (range === undefined) break;
        at = Math.max(at, range.end);
      }
      return gaps;
    },
  };
}

function* rangesOf(blocks: readonly Block[]): Generator<ByteRange> {
  const spot = { block: 0, at: 0 };
  for (let range = rangeAt(blocks, spot); range !== undefined; range = nextRange(blocks, spot)) {
    yield range;
  }
}

/** The spot of the first range that ends at `position` or behind it. By halving, and without anything to collect. */
function firstEndingAt(blocks: readonly Block[], position: number): Spot {
  let block = 0;
  for (let high = blocks.length - 1; block < high;) {
    const middle = (block + high) >>> 1;
    const numbers = blocks[middle];
    if ((numbers?.[numbers.length - 1] ?? 0) < position) block = middle + 1;
    else high = middle;
  }
  const numbers = blocks[block] ?? [];
  let low = 0;
  for (let high = numbers.length / 2; low < high;) {
    const middle = (low + high) >>> 1;
    if ((numbers[2 * middle + 1] ?? 0) < position) low = middle + 1;
    else high = middle;
  }
  return { block, at: 2 * low };
}

function rangeAt(blocks: readonly Block[], { block, at }: Spot): ByteRange | undefined {
  const start = blocks[block]?.[at];
  const end = blocks[block]?.[at + 1];
  return start === undefined || end === undefined ? undefined : { start, end };
}

/**
 * Adds a range that touches none, or only continues the one before it, which is what most do: without anything to
 * collect. `spot` is that of the first range which ends at its start or behind it. False for any other.
 */
function addAlone(blocks: Block[], { block, at }: Spot, start: number, end: number): boolean {
  const numbers = blocks[block];
  if (numbers === undefined) return false;
  const before = numbers[at];
  if (before === undefined || before > end) {
    numbers.splice(at, 0, start, end);
    splitLong(blocks, block);
    return true;
  }
  const next = numbers[at + 2] ?? (block === blocks.length - 1 ? Infinity : 0);
  if (numbers[at + 1] !== start || next <= end) return false;
  numbers[at + 1] = end;
  return true;
}

function splitLong(blocks: Block[], block: number): void {
  const numbers = blocks[block];
  if (numbers === undefined || numbers.length <= blockNumbers) return;
  blocks.splice(block + 1, 0, numbers.splice(blockNumbers / 2));
}

/** Moves on to the next range. */
function nextRange(blocks: readonly Block[], spot: Spot): ByteRange | undefined {
  spot.at += 2;
  if (spot.at >= (blocks[spot.block]?.length ?? 0) && spot.block + 1 < blocks.length) {
    spot.block += 1;
    spot.at = 0;
  }
  return rangeAt(blocks, spot);
}

/** Puts ranges in the place of those from one spot up to another. */
function replace(blocks: Block[], from: Spot, to: Spot, ranges: readonly number[]): void {
  const block = blocks[from.block];
  if (block === undefined) return;
  if (from.block === to.block) block.splice(from.at, to.at - from.at, ...ranges);
  else {
    block.splice(from.at, block.length - from.at, ...ranges);
    blocks[to.block]?.splice(0, to.at);
    blocks.splice(from.block + 1, to.block - from.block - 1);
  }
  splitLong(blocks, from.block);
  // The last block stays, so that there is one.
  for (const index of [from.block + 1, from.block]) {
    if (blocks[index]?.length === 0 && blocks.length > 1) blocks.splice(index, 1);
  }
}
