/** How often the number is looked at, in milliseconds. */
export const countEvery = 200;

/** So many times as much must come over twice the connections for them to stay. */
const worthwhile = 1.25;
/** After more connections brought nothing, they are tried again after so many milliseconds. */
const rest = 2000;

/**
 * How many connections a blob has that is read while it comes. Over one, its bytes come in their order, and at the
 * least cost for both sides; over several, the first of them come later. So there are more only where those who read
 * have nothing left to read, and as long as more connections bring more.
 */
export interface ConnectionCount {
  readonly count: number;
  /** Looks at what has come at time `now`, in milliseconds; `isAwaited`: those who read wait for more. */
  look(now: number, bytes: number, isAwaited: boolean): void;
}

/** Begins with one connection; `most` of them at the end. */
export function connectionCount(most: number, now: number, bytes: number): ConnectionCount {
  let count = 1;
  let seen = { now, bytes };
  /** Bytes a millisecond before the last doubling. */
  let before: number | undefined;
  let restUntil = now;
  return {
    get count() {
      return count;
    },
    look(at, there, isAwaited) {
      const rate = (there - seen.bytes) / Math.max(1, at - seen.now);
      seen = { now: at, bytes: there };
      const isInVain = before !== undefined && rate < before * worthwhile;
      before = undefined;
      if (!isAwaited || isInVain) {
        count = Math.ceil(count / 2);
        if (isInVain) restUntil = at + rest;
      } else if (at >= restUntil && count < most) {
        before = rate;
        count = Math.min(most, 2 * count);
      }
    },
  };
}
