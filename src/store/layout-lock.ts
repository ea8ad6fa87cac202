import { randomUUID } from "node:crypto";
import { link, open, rename, rm, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { OcibundleError, errno } from "../errors.ts";

/** A lock is held for one small write; one this old (milliseconds) was left behind by a process that died. */
const staleAfter = 10_000;
const pollEvery = 20;
const giveUpAfter = 60_000;

/**
 * Runs `work` while no other process runs work under the same lock file. The lock is a file that only
 * one process can create; a lock left behind is taken away after some seconds.
 *
 * Throws `file` when the lock can't be had within a minute.
 */
export async function withLock<T>(
  path: string,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const started = performance.now();
  while (!(await acquire(path))) {
    if (performance.now() - started > giveUpAfter) {
      throw new OcibundleError("file", `"${path}": another process holds this lock`, {
        hint: "when no other ocibundle runs, remove the file",
      });
    }
    await removeStale(path);
    await sleep(pollEvery, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

async function acquire(path: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    await file.close();
    return true;
  } catch (error) {
    // Windows answers EPERM while a file that is being removed still has its name.
    if (errno(error) === "EEXIST" || (errno(error) === "EPERM" && process.platform === "win32")) {
      return false;
    }
    throw error;
  }
}

async function removeStale(path: string): Promise<void> {
  const found = await identity(path);
  if (found === undefined || Date.now() - found.modified < staleAfter) return;
  // Renaming is atomic, so one process takes the file away; if it was no longer the stale one,
  // because another was quicker, it goes back to its owner.
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (errno(error) === "ENOENT") return;
    throw error;
  }
  const taken = await identity(aside);
  if (taken?.inode !== found.inode || taken.modified !== found.modified) {
    await link(aside, path).catch(() => undefined);
  }
  await rm(aside, { force: true });
}

async function identity(path: string): Promise<{ inode: number; modified: number } | undefined> {
  try {
    const { ino, mtimeMs } = await stat(path);
    return { inode: ino, modified: mtimeMs };
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
    throw error;
  }
}
