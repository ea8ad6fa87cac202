/** Time, handed in so that tests need no waiting. */
export interface Clock {
  /** Milliseconds since some point; never goes back. */
  now(): number;
  /** Calls `tick` every so many milliseconds, until the function it returns is called. Keeps no process alive. */
  every(milliseconds: number, tick: () => void): () => void;
}

/** Monotonic milliseconds, and ticks that do not keep the process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  every(milliseconds, tick) {
    const timer: { unref?: () => void } | number = setInterval(tick, milliseconds);
    if (typeof timer === "object") timer.unref?.();
    return () => {
      clearInterval(timer as ReturnType<typeof setInterval>);
    };
  },
};
