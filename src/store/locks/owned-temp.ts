import { rmSync } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type HeldLock, LockUnavailable, tryLockFile } from "./lock-file.ts";

/**
 * A name for a temporary file or directory that is known to be in use as long as its process lives: a lock
 * with its name shows it. What a process that was killed leaves is removed by a later one.
 */
export interface OwnedTemp {
  path: string;
  /** What is under the name was renamed or removed. */
  release(): void;
}

/** Where temporary files or directories of one kind lie, and what their names begin and end with. */
export interface TempPlace {
  directory: string;
  prefix: string;
  /** ".tmp" unless given. */
  suffix?: string;
  /** A directory for the locks; they lie beside what they are for unless it is given. */
  locks?: string;
}

const lockSuffix = ".lock";

/** Directories of images that are open, in the cache's directory for what is temporary. */
export const imageTempPrefix = "image-";

/** Without a lock beside it, something is taken for a killed run's after this long, in milliseconds. */
const lifetime = 24 * 60 * 60 * 1000;

/** Where new names are locked by others this often, the file system says so of all. */
const maxTries = 3;

const lockPathOf = ({ locks }: TempPlace, path: string): string =>
  locks === undefined ? path + lockSuffix : join(locks, basename(path));

/** A new name in a directory, which must exist as that of the locks; one without a lock where nothing can be locked. */
export function ownTemp(place: TempPlace): OwnedTemp {
  const { directory, prefix, suffix = ".tmp" } = place;
  const newPath = () => join(directory, `${prefix}${crypto.randomUUID()}${suffix}`);
  try {
    for (let tries = 0; tries < maxTries; tries += 1) {
      const path = newPath();
      const lockPath = lockPathOf(place, path);
      const lock = tryLockFile(lockPath, { shared: true });
      if (lock !== undefined) return { path, release: () => lock.release() };
      // Who sweeps has it for a moment, and this name is given to nobody.
      rmSync(lockPath, { force: true });
    }
  } catch (error) {
    if (!(error instanceof LockUnavailable)) throw error;
  }
  return { path: newPath(), release: () => undefined };
}

const uuidPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

/** The temporary file that a name in a directory is of, or is the lock of; undefined for any other name. */
function tempOf(
  name: string,
  { prefix, suffix = ".tmp" }: Omit<TempPlace, "directory">,
): string | undefined {
  if (!name.startsWith(prefix)) return undefined;
  const uuid = uuidPattern.exec(name.slice(prefix.length))?.[0];
  if (uuid === undefined) return undefined;
  const temp = `${prefix}${uuid}${suffix}`;
  return name === temp || name.startsWith(temp + lockSuffix) ? temp : undefined;
}

/** Whether a name of a directory is one that `ownTemp` gave, or its lock's. */
export const isOwnedTemp = (name: string, prefix: string): boolean =>
  tempOf(name, { prefix }) !== undefined;

/**
 * Takes what ended processes have left of `ownTemp`'s in a directory: nobody else has it until it is
 * released. None where nothing can be locked. Never throws.
 */
export async function takeEndedTemps(place: TempPlace): Promise<OwnedTemp[]> {
  const taken: OwnedTemp[] = [];
  for (const path of await tempsIn(place)) {
    try {
      const lock = tryLockFile(lockPathOf(place, path));
      if (lock !== undefined) taken.push({ path, release: () => lock.release() });
    } catch {
      // Another user's, or no locks here.
    }
  }
  return taken;
}

/**
 * Removes what ended processes have left of `ownTemp`'s in a directory, and returns how many. Where nothing
 * can be locked, what is old goes, unless the locks have a directory of their own. Never throws.
 */
export async function sweepOwnedTemps(place: TempPlace): Promise<number> {
  let swept = 0;
  for (const path of await tempsIn(place)) {
    const lockPath = lockPathOf(place, path);
    const isLocked = place.locks !== undefined || (await exists(lockPath));
    if (isLocked ? await removeUnheld(path, lockPath) : await removeOld(path)) swept += 1;
  }
  return swept;
}

/** The paths of temporary files that are there, or that only have a lock any more. */
async function tempsIn(place: TempPlace): Promise<string[]> {
  const names = await namesIn(place.directory);
  const temps = new Set(names.map((name) => tempOf(name, place)));
  for (const name of place.locks === undefined ? [] : await namesIn(place.locks)) {
    temps.add(tempOf(name.split(".")[0] ?? name, place));
  }
  return [...temps].filter((name) => name !== undefined).map((name) => join(place.directory, name));
}

const namesIn = (directory: string): Promise<string[]> => readdir(directory).catch(() => []);

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Removes a file or directory, and its lock, if nobody holds that; says whether it did. Never throws. */
export async function removeUnheld(path: string, lockPath: string): Promise<boolean> {
  let lock: HeldLock | undefined;
  try {
    lock = tryLockFile(lockPath);
    if (lock === undefined) return false;
    await rm(path, { recursive: true, force: true });
    return true;
  } catch {
    // Another user's, or no locks here.
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

/** The place of temporary files beside a file. */
export const besides = (path: string): TempPlace => ({
  directory: dirname(path),
  prefix: `${basename(path)}.`,
});
