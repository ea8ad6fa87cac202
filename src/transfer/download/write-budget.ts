/** The share of this thread's time that may go into writing. */
const share = 1 / 4;
/** What is saved up of it at most, in milliseconds. */
const mostSaved = 20;

/**
 * Decides who writes what was received. Writing at once is a copy while the system has memory for it, and a kill then
 * finds little that was received and not yet written. But this thread also receives: where the network is fast, or the
 * disk makes it wait, others write in its place.
 */
export interface WriteBudget {
  /** Whether this thread may write at time `now`, in milliseconds. */
  allows(now: number): boolean;
  /** Notes a write of this thread. */
  spend(from: number, to: number): void;
}

/** A budget that begins at time `at`, in milliseconds, and is full. */
export function writeBudget(at: number): WriteBudget {
  let saved = mostSaved;
  return {
    allows(now) {
      saved = Math.min(mostSaved, saved + (now - at) * share);
      at = now;
      return saved > 0;
    },
    spend(from, to) {
      saved -= to - from;
    },
  };
}

/** That of this thread, for all files together. */
export const ofThisThread: WriteBudget = writeBudget(performance.now());
