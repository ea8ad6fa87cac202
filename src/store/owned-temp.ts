import { rmSync } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type HeldLock, LockUnavailable, tryLockFile } from "./locks/lock-file.ts";

/**
 * A name for a temporary file or folder that is known to be in use as long as its process lives: a lock
 * lies beside it. Outside of the cache, where killed runs leave things among other people's files.
 */
export interface OwnedTemp {
  path: string;
  /** What is under the name was renamed or removed. */
  release(): void;
}

const lockSuffix = ".lock";

/** Folders of images that are open, in the cache's folder for what is temporary. */
export const imageTempPrefix = "image-";

/** Without a lock beside it, something is taken for a killed run's after this long, in milliseconds. */
const lifetime = 24 * 60 * 60 * 1000;

/** Where new names are locked by others this often, the file system says so of all. */
const maxTries = 3;

/** A name in the folder `folder`, which must exist; where nothing can be locked, one without a lock. */
export function ownTemp(folder: string, prefix: string, suffix = ".tmp"): OwnedTemp {
  const name = () => join(folder, `${prefix}${crypto.randomUUID()}${suffix}`);
  try {
    for (let tries = 0; tries < maxTries; tries += 1) {
      const path = name();
      const lock = tryLockFile(path + lockSuffix, { shared: true });
      if (lock !== undefined) return { path, release: () => lock.release() };
      // Who sweeps has it for a moment, and this name is given to nobody.
      rmSync(path + lockSuffix, { force: true });
    }
  } catch (error) {
    if (!(error instanceof LockUnavailable)) throw error;
  }
  return { path: name(), release: () => undefined };
}

/** Whether a name of a folder is one that `ownTemp` gave, or its lock's. */
export function isOwnedTemp(name: string, prefix: string, suffix = ".tmp"): boolean {
  if (!name.startsWith(prefix)) return false;
  const rest = name.slice(prefix.length);
  const uuid = rest.slice(0, 36);
  if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid)) return false;
  const after = rest.slice(36);
  return after === suffix || after.startsWith(suffix + lockSuffix);
}

/**
 * Takes what ended processes have left of `ownTemp`'s in a folder: nobody else has it until it is
 * released. None where nothing can be locked. Never throws.
 */
export async function takeEndedTemps(
  folder: string,
  prefix: string,
  suffix = ".tmp",
): Promise<OwnedTemp[]> {
  const taken: OwnedTemp[] = [];
  for (const temp of await tempsIn(folder, prefix, suffix)) {
    const path = join(folder, temp);
    try {
      const lock = tryLockFile(path + lockSuffix);
      if (lock !== undefined) taken.push({ path, release: () => lock.release() });
    } catch {
      // Another user's, or no locks here.
    }
  }
  return taken;
}

/** Removes what ended processes have left of `ownTemp`'s in a folder, and returns how many. Never throws. */
export async function sweepOwnedTemps(
  folder: string,
  prefix: string,
  suffix = ".tmp",
): Promise<number> {
  let swept = 0;
  for (const temp of await tempsIn(folder, prefix, suffix)) {
    const path = join(folder, temp);
    const locked = await stat(path + lockSuffix).then(
      () => true,
      () => false,
    );
    if (locked ? await removeUnlocked(path) : await removeOld(path)) swept += 1;
  }
  return swept;
}

async function tempsIn(folder: string, prefix: string, suffix: string): Promise<Set<string>> {
  const names: string[] = await readdir(folder).catch(() => []);
  return new Set(
    names
      .filter((name) => isOwnedTemp(name, prefix, suffix))
      .map((name) => name.slice(0, prefix.length + 36 + suffix.length)),
  );
}

async function removeUnlocked(path: string): Promise<boolean> {
  let lock: HeldLock | undefined;
  try {
    lock = tryLockFile(path + lockSuffix);
    if (lock === undefined) return false;
    await rm(path, { recursive: true, force: true });
    return true;
  } catch {
    // Another user's.
    return false;
  } finally {
    lock?.release();
  }
}

async function removeOld(path: string): Promise<boolean> {
  try {
    if (Date.now() - (await stat(path)).mtimeMs <= lifetime) return false;
    await rm(path, { recursive: true, force: true });
    return true;
  } catch {
    return false;
  }
}

/** Splits the path of a file into what `ownTemp` takes for a temporary file beside it. */
export const besides = (path: string): { folder: string; prefix: string } => ({
  folder: dirname(path),
  prefix: `${basename(path)}.`,
});
