import { mayProbe, siblingRates } from "./host-traffic.ts";
import type { RangeWork, RangeWorkOptions } from "./range-work.ts";
import { judgeRange, type Pace } from "./slow-ranges.ts";

/** After failures in a row a silent request is given more time, by up to this factor. */
const mostPatience = 4;

/** What is asked for again and again is given more time, by up to this factor. */
const mostRepeated = 16;

/** What requests are compared with. */
export interface WatchOptions extends Pick<RangeWorkOptions, "label" | "support"> {
  pace: Pace;
  /** Failures in a row so far. */
  failures: number;
  /** Milliseconds between two looks. */
  interval: number;
}

/** Marks the requests that are stuck or far behind, and ends those that are dead. */
export function watchFlights(
  { flights }: RangeWork,
  { label, support, pace, failures, interval }: WatchOptions,
): void {
  const now = performance.now();
  const underWay = [...flights].filter(({ over }) => !over);
  for (const flight of underWay) flight.look(now, pace.young, interval);
  for (const flight of underWay) {
    const longer = Math.min(2 ** flight.piece.repeated, mostRepeated);
    // Before its answer a request has no rate.
    const siblings = flight.answered ? siblingRates(support.traffic, flight) : [];
    const verdict = judgeRange(flight.seen(), siblings, {
      ...pace,
      silent: flight.answered
        ? pace.silent * longer
        : Math.max(pace.silent * longer, 3 * (support.cost?.firstByte ?? 0)),
      young: pace.young * longer,
      dead: pace.dead * Math.min(2 ** failures, mostPatience),
    });
    flight.slow = verdict === "silent" ? mayProbe(support.traffic, flight) : verdict !== "well";
    // A single stream is not ended here: it would start again at the first byte.
    if (verdict === "dead" && flight.answered && support.ranged) flight.giveUp(label);
  }
}
