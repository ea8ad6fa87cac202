import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";

/** SQLITE_BUSY and SQLITE_LOCKED; an extended code has one of them in its lowest byte. */
const busyCodes: ReadonlySet<number> = new Set([5, 6]);

function isBusy(error: unknown): boolean {
  const code = (error as { errcode?: unknown }).errcode;
  return typeof code === "number" && busyCodes.has(code & 0xff);
}

/** A transaction locks with its first statement. */
const readSchema = "SELECT count(*) FROM sqlite_schema";

const begin = (shared: boolean): string => (shared ? "BEGIN" : "BEGIN EXCLUSIVE");

/**
 * Locks an empty file that is there, until the database is closed; undefined when another holds it. Throws SQLite's
 * errors.
 *
 * SQLite on an empty file is the one way to a lock of the operating system that `node:` modules give:
 * held by the process, gone with it however it dies, seen across containers of one machine and on
 * network file systems that have locks. Nothing is ever written into the file.
 */
export function openLock(path: string, shared: boolean): DatabaseSync | undefined {
  const url = pathToFileURL(path);
  // Without this it would make a file, and one without a mark.
  url.searchParams.set("mode", "rw");
  const database = new DatabaseSync(url);
  try {
    database.exec(`PRAGMA journal_mode=MEMORY; ${begin(shared)}`);
    if (shared) database.prepare(readSchema).get();
    return database;
  } catch (error) {
    database.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
}

/**
 * Ends the transaction that is the lock, without a write, and begins another; false when somebody else's
 * stands against it.
 */
export function changeLock(database: DatabaseSync, shared: boolean): boolean {
  try {
    database.exec(`ROLLBACK; ${begin(shared)}`);
    if (shared) database.prepare(readSchema).get();
    return true;
  } catch {
    // What could not be cleaned up now is an empty file, and prune comes by.
    return false;
  }
}
