import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { isStreamed, outputFault, outputPlace, writeOutputFile } from "../../store/output-file.ts";
import { sweepOwnedTemps } from "../../store/locks/owned-temp.ts";
import { serializeWeightsLock, type WeightsLock } from "../format/weights-lock.ts";

/** What to do where a lock can't be written: by `lock`, and where a push writes one beside. */
export const lockHints = {
  lock: "write the lock to a writable directory with -o FILE",
  cog: "write the lock to a writable directory with --cog-lock FILE",
  push: "write the lock to a writable directory with --lock FILE, or add --no-lock",
} as const;

/**
 * Throws where a lock can't be written, which is said before hours of hashing and not after them:
 * `system` where this machine refuses, `file` where the directory is missing.
 */
export async function checkWritable(path: string, hint: string = lockHints.lock): Promise<void> {
  if (await isStreamed(path)) return;
  const { directory } = await outputPlace(path);
  try {
    await access(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw outputFault(path, error, hint);
  }
}

/** Writes a lock where it lies. Throws `file`, `system`. */
export const writeLockFile = (path: string, lock: WeightsLock, hint?: string): Promise<void> =>
  writeLockBytes(path, serializeWeightsLock(lock), hint);

/** `writeLockFile` of a lock in another format. */
export const writeLockBytes = (
  path: string,
  bytes: Uint8Array,
  hint: string = lockHints.lock,
): Promise<void> => writeOutputFile(path, bytes, hint);

/** Removes what killed runs have left beside a lock. Never throws. */
export async function sweepLockTemps(path: string): Promise<void> {
  if (await isStreamed(path)) return;
  await sweepOwnedTemps(await outputPlace(path));
}
