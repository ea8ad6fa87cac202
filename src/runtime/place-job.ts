import { closeSync, fsyncSync, linkSync, lstatSync, openSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import { errno } from "../errors.ts";
import { withDirectorySync } from "./make-directory.ts";
import { createFileSync, openOldSync, readableMode } from "./own-file.ts";
import type { FileToPlace, Placed } from "./worker-protocol.ts";

/**
 * Flushes files, gives them their names and makes the empty files beside them, all in one go: what one file needs of
 * the disk it mostly has written for the others as well, and a directory that several are in is flushed once. Nothing
 * has a name before its bytes are on the disk, and no result is given before the names are. Blocks the thread. What
 * fails of one file leaves the others alone.
 */
export function placeFiles(files: readonly FileToPlace[]): Placed[] {
  const results = files.map((): Placed => undefined);
  const each = (work: (file: FileToPlace, index: number) => void): void => {
    for (const [index, file] of files.entries()) {
      if (results[index] !== undefined) continue;
      try {
        work(file, index);
      } catch (error) {
        results[index] = failureOf(error);
      }
    }
  };
  each(({ path }) => flush(openOldSync(path)));
  const changed = new Map<string, Placed>();
  each(({ path, to, mark }) => {
    withDirectorySync(to, () => renameSync(path, to));
    changed.set(dirname(to), undefined);
    if (withDirectorySync(mark, () => isCreated(mark))) changed.set(dirname(mark), undefined);
  });
  for (const directory of changed.keys()) changed.set(directory, flushDirectory(directory));
  each(({ to, mark }, index) => {
    results[index] = changed.get(dirname(to)) ?? changed.get(dirname(mark));
  });
  return results;
}

const failureOf = (error: unknown): Placed => ({
  message: error instanceof Error ? error.message : String(error),
  code: errno(error),
});

/** Flushes what is open, and closes it. */
function flush(file: number): void {
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** The empty file that was made last: further ones are names of it as long as there is room for names. */
let empty: string | undefined;

/** Makes an empty file; false where there is one. A name costs a file system far less than a file. */
function isCreated(path: string): boolean {
  try {
    if (empty !== undefined && isNamed(empty, path)) return true;
    closeSync(createFileSync(path, readableMode));
    empty = path;
    return true;
  } catch (error) {
    if (errno(error) === "EEXIST") return false;
    throw error;
  }
}

/** Gives an empty file one more name; false where that can't be done. Throws where the name is taken. */
function isNamed(file: string, path: string): boolean {
  try {
    // Something else may have its name by now.
    if (!isEmptyFile(file)) return false;
    linkSync(file, path);
    return true;
  } catch (error) {
    if (errno(error) === "EEXIST") throw error;
    return false;
  }
}

function isEmptyFile(path: string): boolean {
  const found = lstatSync(path);
  return found.isFile() && found.size === 0;
}

/** Windows opens no directories, and some network file systems flush none. */
const unflushable: ReadonlySet<string> = new Set([
  "EISDIR",
  "EPERM",
  "EINVAL",
  "EACCES",
  "ENOTSUP",
]);

function flushDirectory(path: string): Placed {
  try {
    flush(openSync(path, "r"));
  } catch (error) {
    if (!unflushable.has(errno(error) ?? "")) return failureOf(error);
  }
  return undefined;
}
