/** Where bytes `start` up to `end` of a part lie in a file: from `position` on. */
export interface PartPlace {
  start: number;
  end: number;
  position: number;
}

/** The bytes of a place as a range of the file that they lie in. */
export const rangeInFile = ({ start, end, position }: PartPlace) => ({
  start: position,
  end: position + end - start,
});

const columns = 3;

/**
 * Where the bytes of a part lie in a file: places in the order of their starts in the part. There can be hundreds of
 * thousands, so they are kept as numbers, which also go to a worker as they are; an object is made of a place when it
 * is looked at.
 */
export class PartPlaces implements Iterable<PartPlace> {
  readonly length: number;
  /** Of each place `start`, `end` and `position`. */
  readonly numbers: Float64Array;

  constructor(numbers: Float64Array) {
    this.numbers = numbers;
    this.length = numbers.length / columns;
  }

  static of(list: readonly PartPlace[]): PartPlaces {
    const numbers = new Float64Array(columns * list.length);
    for (const [index, { start, end, position }] of list.entries()) {
      numbers.set([start, end, position], columns * index);
    }
    return new PartPlaces(numbers);
  }

  /** Extents of a file as a part that has them one after another. */
  static together(extents: readonly { start: number; end: number }[]): PartPlaces {
    const numbers = new Float64Array(columns * extents.length);
    let at = 0;
    for (const [index, { start, end }] of extents.entries()) {
      numbers[columns * index] = at;
      at += end - start;
      numbers[columns * index + 1] = at;
      numbers[columns * index + 2] = start;
    }
    return new PartPlaces(numbers);
  }

  /** Of all places together. */
  get bytes(): number {
    let bytes = 0;
    this.each((start, end) => (bytes += end - start));
    return bytes;
  }

  /** The first places that follow one another from a part's first byte to its last; undefined where some are missing. */
  whole(size: number): PartPlaces | undefined {
    const chain: number[] = [];
    let at = 0;
    this.each((start, end, position) => {
      if (start !== at || at === size) return;
      chain.push(start, end, position);
      at = end;
    });
    if (at !== size) return undefined;
    return chain.length === this.numbers.length ? this : new PartPlaces(Float64Array.from(chain));
  }

  /** Throws `RangeError` where there is none. */
  at(index: number): PartPlace {
    const start = this.numbers[columns * index];
    const end = this.numbers[columns * index + 1];
    const position = this.numbers[columns * index + 2];
    if (start === undefined || end === undefined || position === undefined) {
      throw new RangeError(`no place ${index}`);
    }
    return { start, end, position };
  }

  *[Symbol.iterator](): Generator<PartPlace, void, undefined> {
    for (let index = 0; index < this.length; index += 1) yield this.at(index);
  }

  /** Hands each place on as numbers: objects of them all would be megabytes for the garbage collection. */
  each(take: (start: number, end: number, position: number) => void): void {
    const { numbers } = this;
    for (let at = 0; at < numbers.length; at += columns) {
      take(numbers[at] ?? 0, numbers[at + 1] ?? 0, numbers[at + 2] ?? 0);
    }
  }

  /** Those that have some of a range of the part, where none overlap: the first is found by halving. */
  *within({ start, end }: { start: number; end: number }): Generator<PartPlace, void, undefined> {
    let low = 0;
    for (let high = this.length; low < high;) {
      const middle = (low + high) >>> 1;
      if ((this.numbers[columns * middle + 1] ?? Infinity) <= start) low = middle + 1;
      else high = middle;
    }
    for (; low < this.length; low += 1) {
      const place = this.at(low);
      if (place.start >= end) break;
      yield place;
    }
  }

  isSame({ numbers }: PartPlaces): boolean {
    return (
      numbers.length === this.numbers.length &&
      numbers.every((number, index) => number === this.numbers[index])
    );
  }
}
