import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  type HeldLock,
  lockFile,
  LockUnavailable,
  tryLockFile,
} from "../../store/locks/lock-file.ts";
import { unwritable } from "../../store/verified-write.ts";

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
      await mkdir(parent, { recursive: true });
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
