import { closeSync, constants, fstatSync, openSync, type Stats } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import process from "node:process";

/**
 * Opens files that were found to be regular files a moment ago: seeds, weights, files of a cache. Whoever may write to
 * their directory can put a FIFO in their place meanwhile, and to open that would wait for a writer without end, in a
 * worker that nothing can interrupt. So a file is opened without waiting, and looked at when it is open.
 */

// Windows has no O_NONBLOCK.
const readOnly = constants.O_RDONLY | ((constants as Partial<typeof constants>).O_NONBLOCK ?? 0);

/** Opens a regular file for reading. Throws errno errors, and one with the code ENOTREG for anything else. */
export async function openRegular(path: string): Promise<FileHandle> {
  const file = await open(path, readOnly);
  try {
    checkRegular(path, await file.stat());
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Looks at what is about to be opened by somebody who would wait for a FIFO. Throws as `openRegular`. */
export async function statRegular(path: string): Promise<void> {
  checkRegular(path, await stat(path));
}

/** `openRegular` in the time of two system calls: returns a file descriptor. */
export function openRegularSync(path: string): number {
  const file = openSync(path, readOnly);
  try {
    checkRegular(path, fstatSync(file));
    return file;
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

/**
 * Opens a file that is open once more, for reads past the page cache: a file descriptor. Undefined where the system or
 * the file system has none.
 */
export function reopenDirectToRead(file: number): number | undefined {
  if (process.platform !== "linux" || constants.O_DIRECT === undefined) return undefined;
  try {
    // By its descriptor, so that it is this very file, also where it has lost its name.
    return openSync(`/proc/self/fd/${file}`, constants.O_RDONLY | constants.O_DIRECT);
  } catch {
    return undefined;
  }
}

function checkRegular(path: string, stats: Stats): void {
  if (stats.isFile()) return;
  const code = stats.isDirectory() ? "EISDIR" : "ENOTREG";
  throw Object.assign(new Error(`not a regular file: "${path}"`), { code });
}
