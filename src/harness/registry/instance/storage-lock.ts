import { directoryMode } from "../../../runtime/own-file.ts";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { OcibundleError } from "../../../errors.ts";
import type { HeldLock } from "../../../store/locks/lock-file.ts";
import { lockFile } from "../../../store/locks/wait-for-lock.ts";
import { lockHolder } from "../../../store/locks/lock-holder.ts";

/** In the storage's directory. */
const lockName = "lock";

/** A registry that was just told to end may be at it still; in milliseconds. */
const patience = 2000;

/**
 * Takes a storage for this process: two would not know of each other's uploads, nor of each other's turns.
 * Undefined where the file system has no locks, and when the signal was aborted meanwhile. Throws
 * `conflict` when another registry has it.
 */
export async function lockStorage(
  storage: string,
  signal: AbortSignal,
): Promise<HeldLock | undefined> {
  const path = join(storage, lockName);
  const late = AbortSignal.timeout(patience);
  try {
    await mkdir(storage, { recursive: true, mode: directoryMode });
    return await lockFile(path, { signal: AbortSignal.any([signal, late]) });
  } catch {
    if (late.aborted && !signal.aborted) {
      const holder = lockHolder(path);
      const who = holder === undefined ? "" : ` (process ${holder.pid} on ${holder.host})`;
      throw new OcibundleError(
        "conflict",
        `registry storage "${storage}": another registry serves it${who}`,
        {
          hint: "use that one, or run `ocibundle registry-stop` in the directory where it was started",
        },
      );
    }
    // What is wrong with the directory itself is told when it is opened.
    return undefined;
  }
}
