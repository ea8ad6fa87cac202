import { setTimeout as sleep } from "node:timers/promises";
import { type LockHolder, lockHolder } from "./lock-holder.ts";
import { type HeldLock, type LockOptions, tryLockFile } from "./lock-file.ts";

/** A lock, and the end of the wait for it. */
export interface WaitOptions extends LockOptions {
  /** Aborts the wait; a lock that is held stays. */
  signal: AbortSignal;
  /** Called once when the lock is not to be had within a moment. */
  onWait?: ((holder: LockHolder | undefined) => void) | undefined;
}

const firstPause = 5;
const longestPause = 200;

/**
 * Tries again and again until `attempt` gives something, which it does when it gets the lock at `path`.
 * Throws the signal's reason when aborted, what `attempt` throws, and `LockUnavailable`.
 */
export async function waitForLock<T>(
  path: string,
  { signal, onWait }: WaitOptions,
  attempt: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  for (let pause = firstPause, told = false; ; pause = Math.min(pause * 2, longestPause)) {
    signal.throwIfAborted();
    const got = await attempt();
    if (got !== undefined) return got;
    if (pause === longestPause && !told) {
      told = true;
      onWait?.(lockHolder(path));
    }
    // Not all at the same moment: two that try different locks in turn would get into each other's way.
    const jittered = pause * (0.5 + Math.random());
    await sleep(jittered, undefined, { signal }).catch(() => undefined);
  }
}

/**
 * Takes the lock at `path`, waiting for it as long as it takes. The directory must exist.
 * Throws the signal's reason when aborted, and `LockUnavailable`.
 */
export const lockFile = (path: string, options: WaitOptions): Promise<HeldLock> =>
  waitForLock(path, options, () => tryLockFile(path, options));
