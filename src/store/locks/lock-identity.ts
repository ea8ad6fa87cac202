import { closeSync, futimesSync, statSync } from "node:fs";
import { errno } from "../../errors.ts";
import { createFileSync } from "../../runtime/own-file.ts";

/**
 * What the file at a path is. The number of a removed file soon goes to a new one, and the clock of a file
 * system is coarse: only the mark that its maker gives it (see `createIfMissing`) tells one from the other.
 */
export interface Identity {
  number: bigint;
  mark: bigint;
}

/** Undefined where nothing has the name. */
export function identityOf(path: string): Identity | undefined {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats && { number: stats.ino, mark: stats.mtimeNs };
}

/** Whether the file is at its path yet. */
export function isStill(path: string, before: Identity): boolean {
  const now = identityOf(path);
  return now?.number === before.number && now.mark === before.mark;
}

/**
 * Says whether it created the file. Never opens a lock file that exists: closing it again would drop this process's
 * own lock on it. The new file's time is its mark: one among 2^31 where a file system counts seconds, among far more
 * elsewhere.
 */
export function createIfMissing(path: string): boolean {
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
