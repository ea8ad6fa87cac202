import { clearTimeout, setTimeout } from "node:timers";
import { MiB } from "../units.ts";

/** The first body to a registry, which tells how fast bodies go out. */
export interface FirstBody {
  /** Resolves when it has told, or takes long. */
  readonly told: Promise<void>;
  tell(): void;
}

/** What the bodies that were sent to a registry have told. */
export interface RateTraits {
  /** Bytes per millisecond of the last body that was sent; 0 before the first. */
  rate: number;
  /** The first body that was sent; undefined before. */
  firstBody?: FirstBody;
}

/** A small body measures the round trip, not the rate. */
const leastMeasured = MiB;

/** How long others wait for the first body, in milliseconds: on a slow network they go out at once with it. */
const patience = 150;

/**
 * Waits until the rate of a registry is known, unless this is the first body to it or the first takes long. As long as
 * nothing is known, bodies are counted on their way, which takes memory and time for each of a dozen at once.
 */
export async function rateTold(traits: RateTraits, size: number): Promise<void> {
  if (traits.rate > 0 || size < leastMeasured) return;
  if (traits.firstBody === undefined) traits.firstBody = firstBody();
  else await traits.firstBody.told;
}

function firstBody(): FirstBody {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, patience);
  return {
    told: promise,
    tell() {
      clearTimeout(timer);
      resolve();
    },
  };
}

/** Remembers how fast a body of so many bytes went out. */
export function noteRate(traits: RateTraits, bytes: number, milliseconds: number): void {
  if (bytes < leastMeasured) return;
  traits.rate = bytes / Math.max(1, milliseconds);
  traits.firstBody?.tell();
}
