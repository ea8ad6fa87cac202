import { type HeldLock, type LockOptions, LockUnavailable, tryLockFile } from "./lock-file.ts";

/**
 * What `take` gives, or undefined where nothing can be locked, as on some network file systems: there, one
 * process at a time is all that can be done. Throws what else `take` throws.
 */
export async function whereLockable<T>(take: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await take();
  } catch (error) {
    if (error instanceof LockUnavailable) return undefined;
    throw error;
  }
}

/** The lock at `path`; undefined when another holds it, and where nothing can be locked. */
export function tryLockWherePossible(path: string, options?: LockOptions): HeldLock | undefined {
  try {
    return tryLockFile(path, options);
  } catch (error) {
    if (error instanceof LockUnavailable) return undefined;
    throw error;
  }
}
