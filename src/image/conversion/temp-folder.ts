import { lstat, mkdir, readdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { OcibundleError } from "../../errors.ts";
import {
  type HeldLock,
  lockFile,
  LockUnavailable,
  tryLockFile,
} from "../../store/locks/lock-file.ts";
import { unwritable } from "../../runtime/file-faults.ts";

/** A folder for what is only needed while an image is open; made when the first file is. */
export interface TempFolder {
  /** The path of a new file, which does not exist yet. Throws `file` when the folder can't be made. */
  newFile(): Promise<string>;
  /** Removes the folder with all that is in it. Never throws. */
  remove(): Promise<void>;
}

const namePattern = /^image-[0-9a-f-]{36}/;
const lockPath = (parent: string, name: string): string => join(parent, `${name}.lock`);

/**
 * A temporary folder below `parent`, which is made where it is missing. A lock shows that it is in use:
 * the folder of a process that was killed, gigabytes perhaps, is removed by the next that needs one.
 */
export function tempFolder(parent: string): TempFolder {
  const name = `image-${crypto.randomUUID()}`;
  const folder = join(parent, name);
  let made: Promise<HeldLock | undefined> | undefined;
  let files = 0;
  const make = async (): Promise<HeldLock | undefined> => {
    try {
      await makeParent(parent);
      await sweep(parent);
      const lock = await takeLock(lockPath(parent, name));
      await mkdir(folder);
      return lock;
    } catch (error) {
      throw unwritable(parent, error);
    }
  };
  return {
    async newFile() {
      made ??= make();
      await made;
      files += 1;
      return join(folder, String(files));
    },
    async remove() {
      const lock = await made?.catch(() => undefined);
      if (made !== undefined) await removeQuietly(folder);
      lock?.release();
    },
  };
}

/** Makes the parent. In a directory where everybody may make things, it must be this user's own. */
async function makeParent(parent: string): Promise<void> {
  await mkdir(dirname(parent), { recursive: true });
  const isShared = ((await stat(dirname(parent))).mode & 0o1002) === 0o1002;
  await mkdir(parent, { recursive: true, ...(isShared ? { mode: 0o700 } : {}) });
  if (!isShared) return;
  const stats = await lstat(parent);
  if (stats.isDirectory() && stats.uid === (process.geteuid?.() ?? stats.uid)) return;
  throw new OcibundleError("conflict", `"${parent}" is not a directory of this user`, {
    hint: "set TMPDIR or OCIBUNDLE_CACHE to a directory of your own",
  });
}

async function sweep(parent: string): Promise<void> {
  const names = (await readdir(parent)).map((entry) => namePattern.exec(entry)?.[0]);
  for (const name of new Set(names)) {
    if (name === undefined) continue;
    const lock = tryLock(lockPath(parent, name));
    // Held by its owner; or nothing can be locked there, and then nobody can be known to have ended.
    if (lock === undefined) continue;
    await removeQuietly(join(parent, name));
    lock.release();
  }
}

/** Nobody else has this name; only one who sweeps can have its lock, for a moment. */
async function takeLock(path: string): Promise<HeldLock | undefined> {
  try {
    return await lockFile(path, { signal: new AbortController().signal });
  } catch (error) {
    if (error instanceof LockUnavailable) return undefined;
    throw error;
  }
}

function tryLock(path: string): HeldLock | undefined {
  try {
    return tryLockFile(path);
  } catch (error) {
    if (error instanceof LockUnavailable) return undefined;
    throw error;
  }
}

const removeQuietly = (path: string): Promise<void> =>
  rm(path, { recursive: true, force: true }).catch(() => undefined);
