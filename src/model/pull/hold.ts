import { join } from "node:path";
import { isTerminated } from "../../flow/until-terminated.ts";
import { type HeldLock, LockUnavailable, tryLockFile } from "../../store/locks/lock-file.ts";
import { lockFile } from "../../store/locks/wait-for-lock.ts";
import { useLockName } from "../../store/placement/dest-rule.ts";

const usePath = (dir: string): string => join(dir, useLockName);

/**
 * Stays until SIGTERM, and marks a directory as in use meanwhile. Throws the reason of another signal. Where
 * files can't be locked the directory is not marked.
 */
export async function holdDirectory(
  { signal }: { signal: AbortSignal },
  dir: string,
): Promise<void> {
  let lock: HeldLock | undefined;
  try {
    lock = await lockFile(usePath(dir), { shared: true, signal });
  } catch (error) {
    if (!(error instanceof LockUnavailable) && !signal.aborted) throw error;
  }
  try {
    await isTerminated(signal, Infinity);
  } finally {
    lock?.release();
  }
}

/** Takes a directory to remove it; undefined where somebody holds it. Throws `LockUnavailable`. */
export const takeUnused = (dir: string): HeldLock | undefined => tryLockFile(usePath(dir));
