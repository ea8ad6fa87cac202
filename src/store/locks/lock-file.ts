import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { clearTimeout, setTimeout } from "node:timers";
import { noteHolder, removeHolder } from "./lock-holder.ts";
import { changeLock, openLock } from "./sqlite-lock.ts";
import { type Identity, identityOf, isStill, createIfMissing } from "./lock-identity.ts";

/** A lock that is held until `release`, or until the process ends, however it ends. */
export interface HeldLock {
  readonly path: string;
  /**
   * Lets others share an exclusive lock from now on. False when another was quicker: then nothing is
   * held any more, and what is left to do is `release`.
   */
  share(): boolean;
  /** Gives the lock back; twice is as good as once. */
  release(): void;
}

/** Which kind of lock: an exclusive one unless said otherwise. */
export interface LockOptions {
  /** Several may hold a shared lock at once, none while an exclusive one is held. */
  shared?: boolean;
}

/** The file system has no locks, or the lock file can't be made: the caller decides whether to go on. */
export class LockUnavailable extends Error {
  override readonly name = "LockUnavailable";
}

/** What keeps the connections of held locks from being collected, which would release them. */
const held = new Set<DatabaseSync>();

/** A file that is taken away this often in a row is in use; who waits asks again later. */
const maxTries = 8;

/**
 * Takes the lock at `path`, making the file where there is none; undefined when another holds it.
 * The directory must exist. Throws `LockUnavailable`.
 */
export function tryLockFile(path: string, options: LockOptions = {}): HeldLock | undefined {
  const { lock, isNew } = tryLock(path, options.shared === true);
  if (lock !== undefined || canLockBeside(path)) return lock;
  // Nobody else can have locked it.
  if (isNew) removeLockFile(path);
  throw new LockUnavailable(`cannot lock files in "${dirname(path)}"`);
}

/** The lock, if it was to be had, and whether this call created its file. */
function tryLock(path: string, shared: boolean): { lock: HeldLock | undefined; isNew: boolean } {
  let isNew = false;
  try {
    for (let tries = 0; tries < maxTries; tries += 1) {
      isNew = createIfMissing(path);
      const file = identityOf(path);
      const lock = file && tryLockOf(path, file, shared);
      if (lock === "busy") break;
      if (lock !== undefined) return { lock, isNew };
    }
    return { lock: undefined, isNew };
  } catch (cause) {
    if (isNew) removeLockFile(path);
    throw new LockUnavailable(`cannot use the lock file "${path}"`, { cause });
  }
}

/**
 * The lock of the file that was at `path` a moment ago; undefined when it is not there any more. A holder
 * removes the file as it lets go: a lock on a removed file would exclude nobody.
 */
function tryLockOf(path: string, file: Identity, shared: boolean): HeldLock | "busy" | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = openLock(path, shared);
  } catch (error) {
    if (!isStill(path, file)) return undefined;
    throw error;
  }
  if (database === undefined) return "busy";
  if (isStill(path, file)) {
    held.add(database);
    return heldLock(path, database, file.number, shared);
  }
  database.close();
  return undefined;
}

/** A lock that is held for longer says by whom: those who wait ask later than that. In milliseconds. */
const noteAfter = 100;

function heldLock(
  path: string,
  database: DatabaseSync,
  number: bigint,
  isShared: boolean,
): HeldLock {
  let shared = isShared;
  const note = shared ? undefined : setTimeout(() => noteHolder(path), noteAfter).unref();
  // As long as it is open, its number is no other file's.
  const isOurs = (): boolean => identityOf(path)?.number === number;
  return {
    path,
    share(): boolean {
      if (shared) return true;
      clearTimeout(note);
      removeHolder(path);
      shared = true;
      return changeLock(database, true) && isOurs();
    },
    release(): void {
      if (!held.delete(database)) return;
      clearTimeout(note);
      // The last to share a lock cleans up; where others still do, the file is theirs.
      const alone = !shared || changeLock(database, false);
      if (alone && isOurs()) removeLockFile(path);
      database.close();
    },
  };
}

function removeLockFile(path: string): void {
  removeHolder(path);
  try {
    rmSync(path, { force: true });
  } catch {
    // Left for the next who locks it.
  }
}

/** Directories of which it is known whether their files can be locked. */
const lockable = new Map<string, boolean>();

/** Who sweeps a directory holds each of its locks for a moment. */
const maxProbes = 3;

/**
 * Whether files in the directory of `path` can be locked at all: some network file systems answer "busy" for
 * "can't". Tried once for each directory, with files that nobody else knows.
 */
function canLockBeside(path: string): boolean {
  const directory = dirname(path);
  const known = lockable.get(directory);
  if (known !== undefined) return known;
  let can = false;
  for (let tries = 0; tries < maxProbes && !can; tries += 1) {
    const probe = `${path}.probe-${process.pid}-${crypto.randomUUID()}`;
    try {
      const { lock } = tryLock(probe, false);
      lock?.release();
      can = lock !== undefined;
    } finally {
      removeLockFile(probe);
    }
  }
  lockable.set(directory, can);
  return can;
}

/** Throws `LockUnavailable` where files in a directory, which must exist, can't be locked. */
export function requireLocks(directory: string): void {
  if (canLockBeside(join(directory, "lock"))) return;
  throw new LockUnavailable(`cannot lock files in "${directory}"`);
}
