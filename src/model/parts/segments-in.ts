import type { ByteRange } from "../../oci/content.ts";

/** What a range has of a segment: its bytes `start` up to `end`, counted from the segment's own first byte. */
export interface SegmentPiece {
  /** Which segment it is. */
  index: number;
  start: number;
  end: number;
}

/**
 * Finds what a range has of segments that follow one another, by their lengths: by a search, since a file can have
 * very many of them and is read in many ranges. What lies behind the last segment is left out.
 */
export function segmentFinder(lengths: Iterable<number>): (range: ByteRange) => SegmentPiece[] {
  const ends: number[] = [];
  for (const length of lengths) ends.push((ends.at(-1) ?? 0) + length);
  return ({ start, end }) => {
    const found: SegmentPiece[] = [];
    for (let index = firstBehind(ends, start); index < ends.length; index += 1) {
      const at = ends[index - 1] ?? 0;
      if (at >= end) break;
      const piece = { start: Math.max(start - at, 0), end: Math.min(end, ends[index] ?? 0) - at };
      if (piece.start < piece.end) found.push({ index, ...piece });
    }
    return found;
  };
}

/** The index of the first of rising numbers that is larger. */
function firstBehind(rising: readonly number[], value: number): number {
  let low = 0;
  let high = rising.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((rising[middle] ?? 0) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
