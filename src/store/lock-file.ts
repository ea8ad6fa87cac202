import { closeSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { clearTimeout, setTimeout } from "node:timers";
import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import { errno } from "../errors.ts";

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

/** Who holds an exclusive lock, as far as is known. */
export interface LockHolder {
  pid: number;
  host: string;
  /** When it was taken, ISO 8601. */
  since: string;
}

export interface LockOptions {
  /** Several may hold a shared lock at once, none while an exclusive one is held. */
  shared?: boolean;
}

export interface WaitOptions extends LockOptions {
  signal: AbortSignal;
  /** Called once when the lock is not to be had within a moment. */
  onWait?: ((holder: LockHolder | undefined) => void) | undefined;
}

/** The file system has no locks, or the lock file can't be made: the caller decides whether to go on. */
export class LockUnavailable extends Error {
  override readonly name = "LockUnavailable";
}

const HolderSchema = v.object({ pid: v.number(), host: v.string(), since: v.string() });
/** Beside a lock file, what says who holds it. */
export const lockHolderSuffix = ".holder";
const holderPath = (path: string): string => `${path}${lockHolderSuffix}`;

/** Who says to hold the lock at `path`; undefined when nobody says so. */
export function lockHolder(path: string): LockHolder | undefined {
  try {
    return v.parse(HolderSchema, JSON.parse(readFileSync(holderPath(path), "utf8")));
  } catch {
    return undefined;
  }
}

/** What keeps the connections of held locks from being collected, which would release them. */
const held = new Set<DatabaseSync>();

const isBusy = (error: unknown): boolean =>
  error instanceof Error && /\b(?:locked|busy)\b/i.test(error.message);

const inode = (path: string): bigint | undefined =>
  statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;

/** A transaction locks with its first statement. */
const readSchema = "SELECT count(*) FROM sqlite_schema";

/**
 * SQLite on an empty file is the one way to a lock of the operating system that `node:` modules give:
 * held by the process, gone with it however it dies, seen across containers of one machine and on
 * network file systems that have locks. Nothing is ever written into the file.
 */
function connect(path: string, shared: boolean): DatabaseSync | undefined {
  const database = new DatabaseSync(path);
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

/** Never opens a lock file that exists: closing it again would drop this process's own lock on it. */
function createIfMissing(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o666));
  } catch (error) {
    if (errno(error) !== "EEXIST") throw error;
  }
}

/**
 * Takes the lock at `path`, making the file where there is none; undefined when another holds it.
 * The folder must exist. Throws `LockUnavailable`.
 */
export function tryLockFile(path: string, options: LockOptions = {}): HeldLock | undefined {
  const shared = options.shared === true;
  try {
    for (;;) {
      createIfMissing(path);
      const before = inode(path);
      const database = connect(path, shared);
      if (database === undefined) return undefined;
      // A holder removes the file as it lets go: a lock on a removed file would exclude nobody.
      if (before === undefined || inode(path) !== before) {
        database.close();
        continue;
      }
      held.add(database);
      return heldLock(path, database, before, shared);
    }
  } catch (cause) {
    throw new LockUnavailable(`the lock file "${path}" can't be used`, { cause });
  }
}

/** A lock that is held for longer says by whom: those who wait ask later than that. In milliseconds. */
const noteAfter = 100;

function heldLock(path: string, database: DatabaseSync, ino: bigint, isShared: boolean): HeldLock {
  let shared = isShared;
  const note = shared ? undefined : setTimeout(() => noteHolder(path), noteAfter).unref();
  const isOurs = (): boolean => inode(path) === ino;
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

function noteHolder(path: string): void {
  const holder: LockHolder = {
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
  };
  try {
    writeFileSync(holderPath(path), JSON.stringify(holder));
  } catch {
    // Only for messages.
  }
}

const removeHolder = (path: string): void => removeQuietly(holderPath(path));

function removeLockFile(path: string): void {
  removeHolder(path);
  removeQuietly(path);
}

function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // Left for the next who locks it.
  }
}

/** Whether files of this folder can be locked at all: some network file systems answer "busy" for "can't". */
function canLockBeside(path: string): boolean {
  const probe = `${path}.probe-${process.pid}-${crypto.randomUUID()}`;
  try {
    const lock = tryLockFile(probe);
    lock?.release();
    return lock !== undefined;
  } finally {
    removeLockFile(probe);
  }
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
      if (!canLockBeside(path)) {
        throw new LockUnavailable(`files in "${dirname(path)}" can't be locked`);
      }
      onWait?.(lockHolder(path));
    }
    // Not all at the same moment: two that try different locks in turn would get into each other's way.
    const jittered = pause * (0.5 + Math.random());
    await sleep(jittered, undefined, { signal }).catch(() => undefined);
  }
}

/**
 * Takes the lock at `path`, waiting for it as long as it takes. The folder must exist.
 * Throws the signal's reason when aborted, and `LockUnavailable`.
 */
export const lockFile = (path: string, options: WaitOptions): Promise<HeldLock> =>
  waitForLock(path, options, () => tryLockFile(path, options));
