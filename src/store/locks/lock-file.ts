import { closeSync, futimesSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { clearTimeout, setTimeout } from "node:timers";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { errno } from "../../errors.ts";
import { createFileSync } from "../../runtime/own-file.ts";
import { type LockHolder, lockHolder, noteHolder, removeHolder } from "./lock-holder.ts";

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

/** A lock, and the end of the wait for it. */
export interface WaitOptions extends LockOptions {
  /** Aborts the wait; a lock that is held stays. */
  signal: AbortSignal;
  /** Called once when the lock is not to be had within a moment. */
  onWait?: ((holder: LockHolder | undefined) => void) | undefined;
}

/** The file system has no locks, or the lock file can't be made: the caller decides whether to go on. */
export class LockUnavailable extends Error {
  override readonly name = "LockUnavailable";
}

/** What keeps the connections of held locks from being collected, which would release them. */
const held = new Set<DatabaseSync>();

/** SQLITE_BUSY and SQLITE_LOCKED; an extended code has one of them in its lowest byte. */
const busyCodes: ReadonlySet<number> = new Set([5, 6]);

function isBusy(error: unknown): boolean {
  const code = (error as { errcode?: unknown }).errcode;
  return typeof code === "number" && busyCodes.has(code & 0xff);
}

/**
 * What the file at a path is. The number of a removed file soon goes to a new one, and the clock of a file
 * system is coarse: only the mark that its maker gives it (see `createIfMissing`) tells one from the other.
 */
interface Identity {
  number: bigint;
  mark: bigint;
}

function identity(path: string): Identity | undefined {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats && { number: stats.ino, mark: stats.mtimeNs };
}

function isStill(path: string, before: Identity): boolean {
  const now = identity(path);
  return now?.number === before.number && now.mark === before.mark;
}

/** A transaction locks with its first statement. */
const readSchema = "SELECT count(*) FROM sqlite_schema";

/**
 * SQLite on an empty file is the one way to a lock of the operating system that `node:` modules give:
 * held by the process, gone with it however it dies, seen across containers of one machine and on
 * network file systems that have locks. Nothing is ever written into the file.
 */
function connect(path: string, shared: boolean): DatabaseSync | undefined {
  const url = pathToFileURL(path);
  // Without this it would make a file, and one without a mark.
  url.searchParams.set("mode", "rw");
  const database = new DatabaseSync(url);
  try {
    database.exec(`PRAGMA journal_mode=MEMORY; BEGIN${shared ? "" : " EXCLUSIVE"}`);
    if (shared) database.prepare(readSchema).get();
    return database;
  } catch (error) {
    database.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
}

/**
 * Says whether it created the file. Never opens a lock file that exists: closing it again would drop this process's
 * own lock on it. The new file's time is its mark: one among 2^31 where a file system counts seconds, among far more
 * elsewhere.
 */
function createIfMissing(path: string): boolean {
  let file: number;
  try {
    // All who share the directory lock it, and nothing is written to it.
    file = createFileSync(path);
  } catch (error) {
    if (errno(error) === "EEXIST") return false;
    throw error;
  }
  try {
    const mark = Math.random() * 2 ** 31;
    futimesSync(file, mark, mark);
  } catch {
    // Where times can't be set, that of its making is the mark.
  } finally {
    closeSync(file);
  }
  return true;
}

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
      const file = identity(path);
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
    database = connect(path, shared);
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
  const isOurs = (): boolean => identity(path)?.number === number;
  return {
    path,
    share(): boolean {
      if (shared) return true;
      clearTimeout(note);
      removeHolder(path);
      shared = true;
      return change(database, "ROLLBACK; BEGIN", true) && isOurs();
    },
    release(): void {
      if (!held.delete(database)) return;
      clearTimeout(note);
      // The last to share a lock cleans up; where others still do, the file is theirs.
      const alone = !shared || change(database, "ROLLBACK; BEGIN EXCLUSIVE", false);
      if (alone && isOurs()) removeLockFile(path);
      database.close();
    },
  };
}

/**
 * Ends the transaction that is the lock, without a write, and begins another; false when somebody else's
 * stands against it.
 */
function change(database: DatabaseSync, statements: string, read: boolean): boolean {
  try {
    database.exec(statements);
    if (read) database.prepare(readSchema).get();
    return true;
  } catch {
    // What could not be cleaned up now is an empty file, and prune comes by.
    return false;
  }
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

const firstPause = 5;
const longestPause = 200;

/**
 * Tries again and again until `attempt` gives something, which it does when it gets the lock at `path`.
 * Throws the signal's reason when aborted, what `attempt` throws, and `LockUnavailable`.
 */
export async function waitForLock<T>(
  path: string,
  { signal, onWait }: WaitOptions,
  attempt: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  for (let pause = firstPause, told = false; ; pause = Math.min(pause * 2, longestPause)) {
    signal.throwIfAborted();
    const got = await attempt();
    if (got !== undefined) return got;
    if (pause === longestPause && !told) {
      told = true;
      onWait?.(lockHolder(path));
    }
    // Not all at the same moment: two that try different locks in turn would get into each other's way.
    const jittered = pause * (0.5 + Math.random());
    await sleep(jittered, undefined, { signal }).catch(() => undefined);
  }
}

/**
 * Takes the lock at `path`, waiting for it as long as it takes. The directory must exist.
 * Throws the signal's reason when aborted, and `LockUnavailable`.
 */
export const lockFile = (path: string, options: WaitOptions): Promise<HeldLock> =>
  waitForLock(path, options, () => tryLockFile(path, options));
