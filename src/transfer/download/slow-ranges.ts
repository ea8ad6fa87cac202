/** When a request for a range is given up or given to another connection. Milliseconds. */
export interface Pace {
  /** No byte for so long: another connection is tried beside it. */
  silent: number;
  /** No byte for so long: the request has failed. */
  dead: number;
  /** Younger requests are not judged by their rate. */
  young: number;
  /** Slower than the median of its siblings by this factor is far slower. */
  factor: number;
  /** What would be done sooner than this anyway is left alone. */
  short: number;
}

/** What downloads use unless a test says otherwise. Times in milliseconds. */
export const defaultPace: Pace = {
  silent: 4000,
  dead: 45_000,
  young: 2500,
  factor: 4,
  short: 2000,
};

/** One request for a range, as seen at one moment. */
export interface RangeInFlight {
  /** Milliseconds since it was made. */
  age: number;
  /** Milliseconds since its last byte, or since it was made. */
  silence: number;
  /** Bytes per millisecond, of late. */
  rate: number;
  /** Bytes that are missing of its range. */
  remaining: number;
}

/**
 * What is done with a range in flight: nothing, another connection beside it, or the connection is closed.
 */
export type Verdict = "well" | "slow" | "dead";

/**
 * Judges one request beside its siblings. `siblings` are the rates of requests under way and of those
 * that are done, in bytes per millisecond.
 */
export function judgeRange(range: RangeInFlight, siblings: readonly number[], pace: Pace): Verdict {
  if (range.silence >= pace.dead) return "dead";
  if (range.silence >= pace.silent) return "slow";
  if (range.age < pace.young || siblings.length === 0) return "well";
  const farSlower = range.rate * pace.factor < median(siblings);
  const long = range.remaining > range.rate * pace.short;
  return farSlower && long ? "slow" : "well";
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted[middle] ?? 0;
}
