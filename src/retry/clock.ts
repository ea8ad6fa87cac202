import { setTimeout } from "node:timers/promises";

/** Time and chance, handed in so that a policy can be tried without waiting. */
export interface Clock {
  /** Milliseconds, from any origin, never going back. */
  now(): number;
  /** At least 0 and below 1. */
  random(): number;
  /** Rejects with the signal's reason as soon as it is aborted. */
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  random: () => Math.random(),
  async sleep(milliseconds, signal) {
    try {
      await setTimeout(milliseconds, undefined, { signal });
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
  },
};
