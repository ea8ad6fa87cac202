import { Buffer } from "node:buffer";
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  type Stats,
  unlinkSync,
  writeSync,
} from "node:fs";
import { copyFile, type FileHandle, open, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import process from "node:process";
import { errno } from "../errors.ts";
import { openRegular } from "./regular-file.ts";
import { user, othersMayWrite } from "./trusted-file.ts";

/**
 * The only place where files are opened for writing, but for special-file.ts. Names that this program uses for its
 * own files (temporary files, parts, journals, markers, records) lie in directories that others may write to, and a
 * killed run can leave a hard link under such a name. So a file that is written to is either new, or it is proven to
 * be this user's own regular file with no second name. Symbolic links are never followed in the last part of a path,
 * and a FIFO or a device is never waited for.
 */

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL } = constants;
/** Not on Windows, where neither links nor FIFOs come about this way. */
const { O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants as Partial<typeof constants>;

const newFile = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
const oldFile = O_RDWR | O_NOFOLLOW | O_NONBLOCK;

/** Opens a file that is there, to be flushed: a file descriptor. Throws errno errors. */
export const openOldSync = (path: string): number => openSync(path, oldFile);

/** The mode of files that others may read and only this user may write, whatever the umask says. */
export const readableMode = 0o644;
/** The mode of files that only this user may read. */
export const privateMode = 0o600;

/** The mode of directories of a cache: a group may share it, the world may not write to it. */
export const directoryMode = 0o775;

/** What `replaceFile` tries before it believes that somebody puts something there each time. */
const maxTries = 8;

/** Creates a file that is read and written. Throws errno errors: EEXIST where anything has the name. */
export const createFile = (path: string, mode = 0o666): Promise<FileHandle> =>
  open(path, newFile, mode);

/** `createFile` in the time of a system call: returns a file descriptor. */
export const createFileSync = (path: string, mode = 0o666): number => openSync(path, newFile, mode);

/**
 * Creates a file in place of whatever has the name, which is removed and never written to. Throws errno
 * errors: EISDIR or EPERM where the name is that of a directory.
 */
export async function replaceFile(path: string, mode = 0o666): Promise<FileHandle> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await createFile(path, mode);
    } catch (error) {
      if (errno(error) !== "EEXIST" || tries === maxTries) throw error;
      await unlink(path).catch(unlessGone);
    }
  }
}

/** `replaceFile` in the time of a few system calls: returns a file descriptor. */
export function replaceFileSync(path: string, mode = 0o666): number {
  for (let tries = 1; ; tries += 1) {
    try {
      return createFileSync(path, mode);
    } catch (error) {
      if (errno(error) !== "EEXIST" || tries === maxTries) throw error;
      try {
        unlinkSync(path);
      } catch (failure) {
        unlessGone(failure);
      }
    }
  }
}

function unlessGone(error: unknown): void {
  if (errno(error) !== "ENOENT") throw error;
}

/** Writes a small file in place of whatever has the name. Throws errno errors. */
export function replaceFileWith(path: string, text: string, mode: number): void {
  const file = replaceFileSync(path, mode);
  try {
    writeAllSync(file, text);
  } finally {
    closeSync(file);
  }
}

/** Writes all of a text at the beginning of a file: one call may write less. Throws errno errors. */
export function writeAllSync(file: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length;) {
    done += writeSync(file, bytes, done, bytes.length - done, done);
  }
}

/**
 * Writes a text over a regular file that is there, whoever owns it: a place that others prepared for it. False
 * for anything else under that name. Throws errno errors: ENOENT where nothing is there.
 */
export function overwriteFileSync(path: string, text: string): boolean {
  const file = openSync(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    if (!fstatSync(file).isFile()) return false;
    ftruncateSync(file);
    writeAllSync(file, text);
    return true;
  } finally {
    closeSync(file);
  }
}

/**
 * Creates a file that shares its blocks with another. Throws errno errors: EEXIST where anything has the
 * name, and where the file system can't do it.
 */
export async function cloneFile(source: string, path: string): Promise<void> {
  const how = constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE;
  if (process.platform !== "linux") return copyFile(source, path, how);
  // By its descriptor, so that it is this very file, and no FIFO that was put in its place.
  const file = await openRegular(source);
  try {
    const held = `/proc/self/fd/${file.fd}`;
    await copyFile(existsSync(held) ? held : source, path, how);
  } finally {
    await file.close();
  }
}

/**
 * Makes a file that shares its blocks with another, in place of whatever has the name, to be opened and
 * written by `openOwnFile`. Throws as `cloneFile`.
 */
export async function cloneToWrite(source: string, path: string): Promise<void> {
  await unlink(path).catch(unlessGone);
  await cloneFile(source, path);
  // It has the source's mode, which may be read-only: opened for reading it can still be changed.
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    await file.chmod(readableMode);
  } finally {
    await file.close();
  }
}

/**
 * Opens a file that an earlier run left, to go on writing it. Undefined where there is none, or where it
 * is not proven to be this user's own: another type of file, another owner, one with a second name, or one
 * that others may write. Throws errno errors other than those of a file that can't be opened that way.
 */
export async function openOwnFile(path: string): Promise<FileHandle | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, oldFile);
  } catch (error) {
    if (notOwn.has(errno(error) ?? "")) return undefined;
    throw error;
  }
  try {
    if (await isOwn(path, await file.stat())) return file;
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return undefined;
}

/**
 * Opens a file that is open for writing once more, for writes past the page cache: a file descriptor. Undefined where
 * the system or the file system has none.
 */
export function reopenDirect(file: number): number | undefined {
  if (process.platform !== "linux" || constants.O_DIRECT === undefined) return undefined;
  try {
    // By its descriptor, so that it is this very file.
    return openSync(`/proc/self/fd/${file}`, O_WRONLY | constants.O_DIRECT);
  } catch {
    return undefined;
  }
}

/** Missing, a symbolic link (FreeBSD says EMLINK), a directory, a socket or device, read-only, another user's. */
const notOwn: ReadonlySet<string> = new Set([
  "ENOENT",
  "ELOOP",
  "EMLINK",
  "EISDIR",
  "ENXIO",
  "ENODEV",
  "EACCES",
  "EPERM",
]);

async function isOwn(path: string, stats: Stats): Promise<boolean> {
  if (!stats.isFile() || stats.nlink !== 1 || (stats.mode & othersMayWrite) !== 0) return false;
  const self = user();
  if (self === undefined || stats.uid === self) return true;
  // A network file system can give root's files to another user.
  return self === 0 && (await statsOfNewFile(path)).uid === stats.uid;
}

/**
 * What a new file beside `path` is: one is created that has no name, so that a kill leaves nothing; where
 * the system has no such files, one that is removed. Throws errno errors.
 */
async function statsOfNewFile(path: string): Promise<Stats> {
  const unnamed = await openUnnamed(dirname(path));
  if (unnamed !== undefined) {
    try {
      return await unnamed.stat();
    } finally {
      await unnamed.close();
    }
  }
  const probe = `${path}.${crypto.randomUUID()}.tmp`;
  const file = await createFile(probe);
  try {
    return await file.stat();
  } finally {
    await file.close();
    await unlink(probe);
  }
}

/** Linux's O_TMPFILE, which Node's constants lack; it includes O_DIRECTORY. */
const unnamedFile = 0o20_000_000 | constants.O_DIRECTORY | O_RDWR;

async function openUnnamed(directory: string): Promise<FileHandle | undefined> {
  if (process.platform !== "linux") return undefined;
  // Some file systems have none, and answer with one of several errors.
  return await open(directory, unnamedFile, 0o666).catch(() => undefined);
}

/**
 * Gives a file that grew with `readableMode` the permissions that the umask leaves a new file, which others
 * may write if the user wants it so. Throws errno errors.
 */
export async function chmodAsNew(file: FileHandle, path: string): Promise<void> {
  const { mode } = await statsOfNewFile(path);
  if (((await file.stat()).mode & 0o777) !== (mode & 0o777)) await file.chmod(mode & 0o777);
}
