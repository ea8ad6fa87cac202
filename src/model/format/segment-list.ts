import type { ByteRange } from "../../oci/content.ts";

/** A piece of a part: the part's index, the offset in it and the length, in bytes. */
export type Segment = readonly [part: number, offset: number, length: number];

/** A piece of a part, and where it begins in its file, in bytes. */
export interface PlacedSegment {
  part: number;
  offset: number;
  length: number;
  position: number;
}

/** A recipe or an entry of a lock with more segments is refused. */
export const maxSegments = 1_000_000;

/** A number of bytes that can be counted exactly. */
export const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;

/** Whether an item of a list in a document is a segment. */
export const isSegment = (item: unknown): item is Segment =>
  Array.isArray(item) && item.length === 3 && item.every(isSize);

/** What a range has of a segment: its bytes `start` up to `end`, counted from the segment's own first byte. */
export interface SegmentPiece {
  segment: PlacedSegment;
  start: number;
  end: number;
}

const columns = 4;

/**
 * The segments of a file, which follow one another. Mixtures of experts have hundreds of thousands of them: they are
 * kept as numbers, in 32 bytes each, and an object is made of one when it is looked at. As JSON they are a list of
 * lists, however long it is.
 */
export class Segments implements Iterable<PlacedSegment> {
  readonly length: number;
  /** Of each segment what `PlacedSegment` has, in its order. */
  private readonly numbers: Float64Array;

  private constructor(numbers: Float64Array) {
    this.numbers = numbers;
    this.length = numbers.length / columns;
  }

  /** Parts, offsets and lengths are integers from 0 on. */
  static of(list: readonly Segment[]): Segments {
    const numbers = new Float64Array(columns * list.length);
    let position = 0;
    for (const [index, segment] of list.entries()) {
      numbers.set(segment, columns * index);
      numbers[columns * index + 3] = position;
      position += segment[2];
    }
    return new Segments(numbers);
  }

  /** So many segments, of which `next` gives the numbers: part, offset and length, integers from 0 on. */
  static read(length: number, next: () => number): Segments {
    const numbers = new Float64Array(columns * length);
    let position = 0;
    for (let at = 0; at < numbers.length; at += columns) {
      numbers[at] = next();
      numbers[at + 1] = next();
      const bytes = next();
      numbers[at + 2] = bytes;
      numbers[at + 3] = position;
      position += bytes;
    }
    return new Segments(numbers);
  }

  /** Of all segments together. */
  get bytes(): number {
    if (this.length === 0) return 0;
    const { position, length } = this.at(this.length - 1);
    return position + length;
  }

  /** Throws `RangeError` where there is none. */
  at(index: number): PlacedSegment {
    if (index < 0 || index >= this.length) throw new RangeError(`no segment ${index}`);
    return {
      part: this.column(index, 0),
      offset: this.column(index, 1),
      length: this.column(index, 2),
      position: this.column(index, 3),
    };
  }

  *[Symbol.iterator](): Generator<PlacedSegment, void, undefined> {
    for (let index = 0; index < this.length; index += 1) yield this.at(index);
  }

  /** Hands each segment on as numbers: objects of them all would be tens of megabytes for the garbage collection. */
  each(take: (part: number, offset: number, length: number, position: number) => void): void {
    for (let index = 0; index < this.length; index += 1) {
      take(
        this.column(index, 0),
        this.column(index, 1),
        this.column(index, 2),
        this.column(index, 3),
      );
    }
  }

  /** The same pieces of parts that have other numbers; itself where they have the same. */
  renumbered(numberOf: (part: number) => number): Segments {
    let numbers: Float64Array | undefined;
    for (let index = 0; index < this.length; index += 1) {
      const part = this.column(index, 0);
      const number = numberOf(part);
      if (number === part) continue;
      numbers ??= this.numbers.slice();
      numbers[columns * index] = number;
    }
    return numbers === undefined ? this : new Segments(numbers);
  }

  /** Of each of so many parts the indexes of its segments, in the order of their offsets, then of the file. */
  byPart(parts: number): Uint32Array[] {
    const counts = new Uint32Array(parts);
    this.each((part) => (counts[part] = (counts[part] ?? 0) + 1));
    const lists = Array.from(counts, (count) => new Uint32Array(count));
    counts.fill(0);
    let index = 0;
    this.each((part) => {
      const filled = counts[part] ?? 0;
      const list = lists[part];
      if (list === undefined) throw new RangeError(`no part ${part}`);
      list[filled] = index;
      counts[part] = filled + 1;
      index += 1;
    });
    for (const list of lists) list.sort((a, b) => this.column(a, 1) - this.column(b, 1));
    return lists;
  }

  /**
   * What a range of the file has of the segments: by a search, since a file is read in many ranges. What lies behind
   * the last segment is left out.
   */
  within({ start, end }: ByteRange): SegmentPiece[] {
    const found: SegmentPiece[] = [];
    for (let index = this.firstBehind(start); index < this.length; index += 1) {
      const segment = this.at(index);
      const { position, length } = segment;
      if (position >= end) break;
      const piece = { start: Math.max(start - position, 0), end: Math.min(end - position, length) };
      if (piece.start < piece.end) found.push({ segment, ...piece });
    }
    return found;
  }

  toJSON(): Segment[] {
    return Array.from(this, ({ part, offset, length }) => [part, offset, length] as const);
  }

  private column(index: number, column: 0 | 1 | 2 | 3): number {
    return this.numbers[columns * index + column] ?? 0;
  }

  /** The index of the first segment that ends behind a position. */
  private firstBehind(position: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.column(middle, 3) + this.column(middle, 2) > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
