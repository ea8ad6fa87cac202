import { clearTimeout, setTimeout } from "node:timers";
import { leastMeasured } from "../units.ts";

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

/** How long others wait for the first body, in milliseconds: on a slow network they go out at once with it. */
const patience = 150;

/** The place of a blob among those that wait for the first body to a registry. */
export interface RateTurn {
  /** Waits until the rate is known, unless this is the first body or the first takes long. */
  told(): Promise<void>;
  /** The blob is there, or failed: nobody waits for it any longer. */
  end(): void;
}

const noTurn: RateTurn = { told: () => Promise.resolve(), end() {} };

/**
 * A blob's turn; that of the first to take one is the first body. As long as nothing is known, bodies are counted on
 * their way, which takes memory and time for each of a dozen at once.
 */
export function takeTurn(traits: RateTraits, size: number): RateTurn {
  if (traits.rate > 0 || size < leastMeasured) return noTurn;
  const { firstBody: first } = traits;
  if (first !== undefined) return { told: () => first.told, end() {} };
  const own = firstBody();
  traits.firstBody = own;
  return { told: () => Promise.resolve(), end: () => own.tell() };
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
