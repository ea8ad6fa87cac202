/** When a request for a range is given up or given to another connection. Milliseconds. */
export interface Pace {
  /** No byte for so long: another connection is tried beside it. */
  silent: number;
  /** No byte for so long: the request has failed. */
  dead: number;
  /** Rates are those of so long; younger requests are not judged by theirs. */
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
  young: 5000,
  factor: 4,
  short: 6000,
};

/** A request that waits for the network less than this share of the time is slowed by this machine. */
const mostlyWaiting = 3 / 4;

/** One request for a range, as seen at one moment. */
export interface RangeInFlight {
  /** Milliseconds since it was made, or since all stood still. */
  age: number;
  /** Milliseconds that were waited since its last byte, or since it was made. */
  silence: number;
  /** Those of them in which others received something. */
  behind: number;
  /** Whether others received something at last. */
  othersReceive: boolean;
  /** The share of the time that was spent waiting for the network, of late. */
  waited: number;
  /** Bytes per millisecond, of late. */
  rate: number;
  /** Bytes that are missing of its range. */
  remaining: number;
}

/**
 * What is done with a range in flight: nothing, another connection beside it, the same for one of several that all
 * stand still, or the connection is closed.
 */
export type Verdict = "well" | "slow" | "silent" | "dead";

/**
 * Judges one request beside its siblings. `siblings` are the rates of requests under way and of those
 * that are done, in bytes per millisecond.
 */
export function judgeRange(range: RangeInFlight, siblings: readonly number[], pace: Pace): Verdict {
  if (range.silence >= pace.dead) return "dead";
  if (range.behind >= pace.silent) return "slow";
  if (range.silence >= pace.silent) return range.othersReceive ? "well" : "silent";
  if (range.age < pace.young || range.waited < mostlyWaiting || siblings.length === 0)
    return "well";
  const farSlower = range.rate * pace.factor < median(siblings);
  const long = range.remaining > range.rate * pace.short;
  return farSlower && long ? "slow" : "well";
}

/** Of two in the middle the smaller one. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor((sorted.length - 1) / 2);
  return sorted[middle] ?? 0;
}
