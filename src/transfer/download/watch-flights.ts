import type { Flight } from "./flight.ts";
import type { RangeWork, RangeWorkOptions } from "./range-work.ts";
import { judgeRange, type Pace } from "./slow-ranges.ts";

/** After failures in a row a silent request is given more time, by up to this factor. */
const mostPatience = 4;

/** What requests are compared with. */
export interface WatchOptions extends Pick<RangeWorkOptions, "label" | "support"> {
  pace: Pace;
  /** Failures in a row so far. */
  failures: number;
  /** Rates of the requests that have ended, in bytes per millisecond. */
  rates: readonly number[];
}

/** Marks the requests that are far behind, and ends those that are stuck or overtaken. */
export function watchFlights(
  { flights }: RangeWork,
  { label, support, pace, failures, rates }: WatchOptions,
): void {
  const now = performance.now();
  for (const flight of flights) flight.measure(now);
  for (const flight of flights) {
    const others = [...flights].filter((other) => other !== flight && other.answered);
    const verdict = judgeRange(flight.seenAt(now), [...others.map(({ rate }) => rate), ...rates], {
      ...pace,
      silent: flight.answered
        ? pace.silent
        : Math.max(pace.silent, 3 * (support.cost?.firstByte ?? 0)),
      dead: pace.dead * Math.min(2 ** failures, mostPatience),
    });
    flight.slow = verdict !== "well";
    // A single stream is not ended here: it would start again at the first byte.
    if (verdict === "dead" && flight.answered && support.ranged) flight.giveUp(label);
    if (flight.slow && isOvertaken(flight)) flight.supersede();
  }
}

const isOvertaken = (flight: Flight): boolean =>
  [...flight.piece.flights].some((other) => other !== flight && other.position > flight.position);
