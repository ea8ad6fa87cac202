import type { RangeInFlight } from "./slow-ranges.ts";

/** A request at one moment. */
interface Moment {
  /** In milliseconds. */
  now: number;
  /** That it has received. */
  bytes: number;
  /** Whether the network is waited for, and not the disk. */
  waits: boolean;
  /** What all requests of its host have received. */
  bytesOfAll: number;
}

/**
 * Where all requests have stood still for so many looks, each is judged by its rate from then on only: some go on
 * sooner than others.
 */
const stillness = 4;

/** What is seen of a request by looking at it again and again. */
export interface FlightSight {
  /** See {@link RangeInFlight}. */
  readonly silence: number;
  /** It has its answer's head: the wait for the first byte begins anew. */
  answered(): void;
  /** Looks at it; its rate is that of the last `window` milliseconds. Looks are `interval` milliseconds apart. */
  look(moment: Moment, window: number, interval: number): void;
  seen(): Omit<RangeInFlight, "remaining">;
}

/**
 * A request that began at `startedAt`. Looks that come late, since the machine is busy or was asleep, count as if they
 * had come a little late: what was received meanwhile waits to be read as well.
 */
export function flightSight(startedAt: number): FlightSight {
  let last = { at: startedAt, bytes: 0, waited: 0 };
  let marks = [last];
  let since = startedAt;
  let bytesOfAll: number | undefined;
  let silence = 0;
  let behind = 0;
  let othersReceive = false;
  return {
    get silence() {
      return silence;
    },
    answered() {
      silence = 0;
      behind = 0;
    },
    look(moment, window, interval) {
      const { now, bytes, waits } = moment;
      const elapsed = waits ? Math.min(now - last.at, 2 * interval) : 0;
      const own = bytes - last.bytes;
      othersReceive = moment.bytesOfAll - (bytesOfAll ?? moment.bytesOfAll) > own;
      if (own > 0) {
        if (silence - behind > stillness * interval) {
          since = last.at;
          marks = [last];
        }
        silence = 0;
        behind = 0;
      } else {
        silence += elapsed;
        if (othersReceive) behind += elapsed;
      }
      ({ bytesOfAll } = moment);
      last = { at: now, bytes, waited: last.waited + elapsed };
      marks.push(last);
      while ((marks[1]?.at ?? now) <= now - window) marks.shift();
    },
    seen() {
      const [first = last] = marks;
      const milliseconds = Math.max(1, last.at - first.at);
      return {
        age: last.at - since,
        silence,
        behind,
        othersReceive,
        waited: (last.waited - first.waited) / milliseconds,
        rate: (last.bytes - first.bytes) / milliseconds,
      };
    },
  };
}
