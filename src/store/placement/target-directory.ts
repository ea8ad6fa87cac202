import { constants, existsSync } from "node:fs";
import { type FileHandle, lstat, mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { OcibundleError, errno } from "../../errors.ts";
import { unwritable } from "../../runtime/file-faults.ts";

/** A directory that files are written into, reached without following a symbolic link below its root. */
export interface TargetDirectory extends AsyncDisposable {
  /** For messages. */
  readonly path: string;
  /**
   * The path of something in the directory, for calls of `node:fs`. Where the system can do that it goes
   * through the open directory, so that it stays right when somebody puts a link in the directory's place.
   */
  at(name: string): string;
  /** Makes renames in the directory survive a power failure, where the file system can do that. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Linux resolves paths below an open directory's entry here, which is what `openat` is for. */
const openDirectories = "/proc/self/fd";
let throughHandles: boolean | undefined;
const canGoThroughHandles = (): boolean =>
  (throughHandles ??= process.platform === "linux" && existsSync(openDirectories));

/**
 * Opens the directory that is `parts` below `root`, making what is missing, one part at a time. `root`
 * itself may be reached by links: the user named it. Close it after use.
 *
 * Throws `conflict` where a part is a symbolic link or no directory, and `conflict`, `file` or `system` where it can't
 * be made.
 */
export async function openTargetDirectory(
  root: string,
  parts: readonly string[],
): Promise<TargetDirectory> {
  try {
    await mkdir(root, { recursive: true });
  } catch (error) {
    throw unwritable(root, error);
  }
  return canGoThroughHandles() ? openByHandles(root, parts) : openByPaths(root, parts);
}

/** Makes a file that is there survive a power failure, but for its name. Throws `file`, `system`. */
export async function flushFile(directory: TargetDirectory, name: string): Promise<void> {
  try {
    const file = await open(
      directory.at(name),
      constants.O_RDONLY | constants.O_NOFOLLOW | (constants.O_NONBLOCK ?? 0),
    );
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    // Some systems flush only what is open for writing, and some network file systems nothing.
    if (!unflushable.has(errno(error) ?? "")) throw unwritable(join(directory.path, name), error);
  }
}

const unflushable: ReadonlySet<string> = new Set(["EPERM", "EACCES", "EINVAL", "EROFS", "ENOTSUP"]);

async function openByHandles(root: string, parts: readonly string[]): Promise<TargetDirectory> {
  let path = root;
  let handle = await openDirectory(root, root, constants.O_DIRECTORY);
  for (const part of parts) {
    path = join(path, part);
    const below = `${openDirectories}/${handle.fd}/${part}`;
    try {
      if (await makeDirectory(below, path)) await handle.sync().catch(() => undefined);
      const next = await openDirectory(below, path, constants.O_DIRECTORY | constants.O_NOFOLLOW);
      await handle.close();
      handle = next;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }
  return {
    path,
    at: (name) => `${openDirectories}/${handle.fd}/${name}`,
    sync: () => handle.sync().catch(() => undefined),
    close: () => handle.close(),
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

async function openByPaths(root: string, parts: readonly string[]): Promise<TargetDirectory> {
  let path = root;
  for (const part of parts) {
    path = join(path, part);
    await makeDirectory(path, path);
    if (!(await lstat(path)).isDirectory()) throw await notADirectory(path, path);
  }
  return {
    path,
    at: (name) => join(path, name),
    sync: async () => undefined,
    close: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

async function openDirectory(path: string, shown: string, flags: number): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | flags);
  } catch (error) {
    if (["ENOTDIR", "ELOOP"].includes(errno(error) ?? "")) throw await notADirectory(path, shown);
    throw unwritable(shown, error);
  }
}

/** Says whether it had to make the directory. */
async function makeDirectory(path: string, shown: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    if (errno(error) !== "EEXIST") throw unwritable(shown, error);
    return false;
  }
}

async function notADirectory(path: string, shown: string): Promise<OcibundleError> {
  const link = (await lstat(path).catch(() => undefined))?.isSymbolicLink() === true;
  return new OcibundleError(
    "conflict",
    `"${shown}" is ${link ? "a symbolic link" : "not a directory"}`,
    { hint: "remove it, or use another directory with -o" },
  );
}
