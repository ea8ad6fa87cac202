import { mkdir, readdir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { directoryMode } from "../../runtime/own-file.ts";
import { type HeldLock, LockUnavailable, lockFile, tryLockFile } from "../locks/lock-file.ts";
import { imageTempPrefix, sweepOwnedTemps } from "../owned-temp.ts";

/** Temporary files of one process, in a folder of its own that a lock shows to be in use. */
export interface TempFiles {
  /** A new path; its folder is made. Give it back with `done`. */
  path(name: string): Promise<string>;
  /** The file was moved away or is to be removed. The last one takes the folder with it. */
  done(path: string): Promise<void>;
  /** Keeps the folder, once it is made, until what is returned is called: for many files one by one. */
  hold(): () => Promise<void>;
}

interface Run {
  folder: string;
  ready: Promise<HeldLock | undefined>;
  paths: Set<string>;
}

const runPrefix = "run-";

/** Temporary files below `temp`, with their locks in `locks`; both folders must exist by the first use. */
export function openTempFiles(temp: string, locks: string): TempFiles {
  let run: Run | undefined;
  let holds = 0;
  const endIfUnused = async (): Promise<void> => {
    const current = run;
    if (current === undefined || holds > 0 || current.paths.size > 0) return;
    run = undefined;
    // What lies there still is nobody's: then the folder stays until it is swept.
    await rmdir(current.folder).catch(() => undefined);
    (await current.ready)?.release();
  };
  const start = (): Run => {
    const name = `${runPrefix}${crypto.randomUUID()}`;
    const folder = join(temp, name);
    return { folder, ready: startRun(temp, locks, name), paths: new Set() };
  };
  return {
    async path(name) {
      const current = (run ??= start());
      const path = join(current.folder, `${name}-${crypto.randomUUID()}.tmp`);
      current.paths.add(path);
      try {
        await current.ready;
      } catch (error) {
        if (run === current) run = undefined;
        throw error;
      }
      return path;
    },
    async done(path) {
      await rm(path, { force: true });
      if (run?.paths.delete(path) === true) await endIfUnused();
    },
    hold() {
      holds += 1;
      return async () => {
        holds -= 1;
        await endIfUnused();
      };
    },
  };
}

/**
 * Locked before it is there, so that it is never seen without its owner. Only another who sweeps can
 * have the lock, for a moment.
 */
async function startRun(temp: string, locks: string, name: string): Promise<HeldLock | undefined> {
  let lock: HeldLock | undefined;
  try {
    lock = await lockFile(join(locks, name), { signal: new AbortController().signal });
  } catch (error) {
    if (!(error instanceof LockUnavailable)) throw error;
  }
  await mkdir(join(temp, name), { mode: directoryMode });
  return lock;
}

/**
 * Removes the temporary files of processes that have ended, and returns of how many. Where nothing can
 * be locked, nobody can be known to have ended: there, nothing is removed.
 */
export async function sweepTempFiles(temp: string, locks: string): Promise<number> {
  const names = [...(await listFolder(temp)), ...(await listFolder(locks))]
    .filter((name) => name.startsWith(runPrefix))
    .map((name) => name.split(".")[0] ?? name);
  let swept = 0;
  for (const name of new Set(names)) {
    try {
      const lock = tryLockFile(join(locks, name));
      if (lock === undefined) continue;
      await rm(join(temp, name), { recursive: true, force: true });
      lock.release();
      swept += 1;
    } catch {
      // Another user's, or no locks here.
    }
  }
  return swept + (await sweepOwnedTemps(temp, imageTempPrefix, ""));
}

const listFolder = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);
