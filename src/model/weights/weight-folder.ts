import { type Dirent, type Stats } from "node:fs";
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { errno, OcibundleError } from "../../errors.ts";

/** More files than any registry takes in one manifest; a folder with more is a mistake, or a trap. */
const maxWeightFiles = 100_000;

export interface FolderFile {
  /** Path below the folder, with `/` on every system. */
  below: string;
  path: string;
}

export interface WalkOptions {
  signal: AbortSignal;
  /** Told about each hidden file or folder that is left out. */
  onHidden?: ((path: string) => void) | undefined;
}

/**
 * The files below a folder, sorted. Files and folders whose name starts with a dot are left out.
 * Symbolic links are followed as long as they stay inside the folder and do not loop.
 *
 * Throws `file`, naming what is in the way: a link that leaves the folder, loops or points to nothing,
 * a socket, a device, a name that is not UTF-8, something unreadable.
 */
export async function walkFolder(folder: string, options: WalkOptions): Promise<FolderFile[]> {
  const root = await realpath(folder).catch((cause: unknown) => {
    throw unreadable(folder, cause);
  });
  const files: FolderFile[] = [];
  await walk(folder, "", [root], files, options);
  return files;
}

/** `ancestors`: the real paths of the folder and of those it lies in, the walk's root first. */
async function walk(
  folder: string,
  below: string,
  ancestors: readonly [string, ...string[]],
  files: FolderFile[],
  options: WalkOptions,
): Promise<void> {
  options.signal.throwIfAborted();
  for (const entry of await list(folder)) {
    const path = join(folder, entry.name);
    if (entry.name.startsWith(".")) {
      options.onHidden?.(path);
      continue;
    }
    if (entry.name.includes("\uFFFD")) await mustExist(path);
    const here = below === "" ? entry.name : `${below}/${entry.name}`;
    const target = entry.isSymbolicLink()
      ? await followLink(path, ancestors)
      : { stats: entry, real: join(ancestors.at(-1) ?? folder, entry.name) };
    if (target.stats.isDirectory()) {
      await walk(path, here, [...ancestors, target.real], files, options);
    } else if (target.stats.isFile()) {
      files.push({ below: here, path });
      if (files.length > maxWeightFiles) {
        throw new OcibundleError(
          "file",
          `"${ancestors[0]}" has more than ${maxWeightFiles} files in it`,
        );
      }
    } else {
      throw notAFile(path, target.stats);
    }
  }
}

async function list(folder: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch (cause) {
    throw unreadable(folder, cause);
  }
}

/** A name that is not UTF-8 comes with U+FFFD in it, and then names nothing. */
async function mustExist(path: string): Promise<void> {
  try {
    await lstat(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

async function followLink(
  path: string,
  ancestors: readonly [string, ...string[]],
): Promise<{ stats: Stats; real: string }> {
  const [root] = ancestors;
  let real: string;
  let stats: Stats;
  try {
    real = await realpath(path);
    stats = await stat(real);
  } catch (cause) {
    const code = errno(cause);
    if (code === "ELOOP") throw refusedLink(path, "loops", cause);
    if (code === "ENOENT") throw refusedLink(path, "points to nothing", cause);
    throw unreadable(path, cause);
  }
  if (!isInside(real, root)) throw refusedLink(path, `leaves the folder, to "${real}"`);
  if (stats.isDirectory() && ancestors.some((ancestor) => isInside(ancestor, real))) {
    throw refusedLink(path, "loops: it points to a folder that it lies in");
  }
  return { stats, real };
}

const isInside = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);

const refusedLink = (path: string, fault: string, cause?: unknown): OcibundleError =>
  new OcibundleError("file", `the symbolic link "${path}" ${fault}`, {
    hint: "put the file itself in its place, or name it with --file NAME=PATH",
    cause,
  });

/** The error for something that is neither a file nor a folder. */
export function notAFile(
  path: string,
  stats: Pick<Stats, "isSocket" | "isFIFO" | "isBlockDevice" | "isCharacterDevice">,
): OcibundleError {
  const kind = stats.isSocket()
    ? "a socket"
    : stats.isFIFO()
      ? "a named pipe"
      : stats.isBlockDevice() || stats.isCharacterDevice()
        ? "a device"
        : "neither a file nor a folder";
  return new OcibundleError("file", `"${path}" is ${kind}, and can't be a weight file`);
}

/** The error for a file or folder that could not be looked at. */
export function unreadable(path: string, cause: unknown): OcibundleError {
  const code = errno(cause);
  const fault =
    code === "ENOENT" && path.includes("\uFFFD")
      ? "has a name that is not UTF-8"
      : code === "ENOENT" || code === "ENOTDIR"
        ? "does not exist"
        : code === "EACCES" || code === "EPERM"
          ? "can't be read: permission denied"
          : `can't be read: ${(cause as Error).message}`;
  return new OcibundleError("file", `"${path}" ${fault}`, { cause });
}
