/** Bytes per second over the last few seconds: stays calm between bursts and falls to 0 when nothing moves. */
export interface Rate {
  add(bytes: number, now: number): void;
  /** In bytes per second. */
  at(now: number): number;
}

const windowMilliseconds = 5000;
const bucketMilliseconds = 250;
/** Before that, one buffer that was filled at once would look like a rate. */
const shortest = 250;

/** Starts measuring at `start`, in the clock's milliseconds. */
export function createRate(start: number): Rate {
  const buckets: { from: number; bytes: number }[] = [];
  const forget = (now: number): void => {
    while (buckets[0] !== undefined && buckets[0].from < now - windowMilliseconds) buckets.shift();
  };
  return {
    add(bytes, now) {
      const last = buckets.at(-1);
      if (last !== undefined && now - last.from < bucketMilliseconds) last.bytes += bytes;
      else buckets.push({ from: now, bytes });
      forget(now);
    },
    at(now) {
      forget(now);
      const bytes = buckets.reduce((sum, bucket) => sum + bucket.bytes, 0);
      const elapsed = Math.min(windowMilliseconds, now - start);
      return elapsed < shortest ? 0 : Math.max(0, (bytes * 1000) / elapsed);
    },
  };
}
