/**
 * What a request for a range costs at a registry. Some read the whole blob, to check its digest, before
 * the first byte of each range: there, a few large requests are far faster than many small ones.
 */
export interface RangeCost {
  /** Milliseconds from the request to the first byte of the body. */
  firstByte: number;
  /** Bytes per millisecond after that. */
  rate: number;
  /** Of the blob, in bytes. */
  size: number;
}

/** A first byte that comes sooner than this, in milliseconds, is only the way to the registry and back. */
export const slowFirstByte = 250;

/** A request is worth its wait when it brings bytes for so many times as long. */
const worth = 4;

/**
 * The smallest piece that is worth a request, in bytes, for a blob of `size` bytes; 0 where requests cost
 * nothing. Of a smaller blob than the one that was measured less is expected: reading it takes less time.
 */
export function leastPiece(cost: RangeCost | undefined, size: number): number {
  if (cost === undefined) return 0;
  const firstByte = cost.firstByte * Math.min(1, size / cost.size);
  return firstByte < slowFirstByte ? 0 : Math.ceil(firstByte * cost.rate * worth);
}

/** The better one of two measurements: one slow answer alone says little. */
export function betterCost(known: RangeCost | undefined, seen: RangeCost): RangeCost {
  if (known === undefined) return seen;
  const expected = known.firstByte * (seen.size / known.size);
  return seen.firstByte < Math.max(expected, known.firstByte) ? seen : known;
}
