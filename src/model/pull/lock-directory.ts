import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { type HeldLock, LockUnavailable } from "../../store/locks/lock-file.ts";
import { hashedName } from "../../store/records/hashed-name.ts";
import { lockFile, type WaitOptions } from "../../store/locks/wait-for-lock.ts";
import type { Session } from "../session/session.ts";
import { pullLockName } from "../../store/placement/dest-rule.ts";

/**
 * Waits until no other process pulls into the directory `dir`, and locks it. The lock is in the directory
 * itself, since those who share it need not share a cache; else in that of the markers, which `markers`
 * makes and names; else in the cache. Undefined where nothing can be locked. Throws the signal's reason.
 */
export async function lockDirectory(
  { cache, signal, emit }: Pick<Session, "cache" | "signal" | "emit">,
  dir: string,
  markers: () => Promise<string>,
): Promise<HeldLock | undefined> {
  const options: WaitOptions = {
    signal,
    onWait: (holder) =>
      emit({
        type: "wait",
        milliseconds: 0,
        reason: `"${dir}" is locked by process ${holder?.pid ?? "unknown"}`,
      }),
  };
  const places = [
    () => lockFile(join(dir, pullLockName), options),
    async () => lockFile(join(await markers(), "lock"), options),
    async () => cache.lockName(`pull-${hashedName(await realpath(dir))}`, options),
  ];
  for (const lock of places) {
    try {
      return await lock();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof LockUnavailable) && !(error instanceof OcibundleError)) throw error;
    }
  }
  return undefined;
}
