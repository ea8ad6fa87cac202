import type { Dirent, Stats } from "node:fs";
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { errno, OcibundleError } from "../../errors.ts";
import { notAFile, unreadable } from "./file-errors.ts";
import { everyFilter, type PathFilter, pathFilter, readIgnoreFile } from "./path-filter.ts";

/** More files than any registry takes in one manifest; a directory with more is a mistake, or a trap. */
const maxWeightFiles = 100_000;

/** A file that was found in a directory. */
export interface DirectoryFile {
  /** Path below the directory, with `/` on every system. */
  below: string;
  path: string;
}

/** Which files of a directory are taken. */
export interface WalkOptions {
  signal: AbortSignal;
  /** Applied besides the directory's ignore file; that alone without it. */
  filter?: PathFilter | undefined;
  /** Told of each file or directory that is left out: its path below the directory, `/` behind a directory's. */
  onLeftOut?: ((below: string) => void) | undefined;
}

/**
 * The files below a directory that its ignore file and the filter take, sorted. What has a name that starts with
 * a dot is left out unless an include pattern names such a file. Symbolic links are followed wherever they lead:
 * caches and data version control keep the bytes elsewhere.
 *
 * Throws `file`, naming what is in the way: a link that loops or points to nothing, a socket, a device, a name
 * that is not UTF-8; `system` for what can't be read.
 */
export async function walkDirectory(
  directory: string,
  options: WalkOptions,
): Promise<DirectoryFile[]> {
  const root = await realpath(directory).catch((cause: unknown) => {
    throw unreadable(directory, cause);
  });
  const ignored = pathFilter({ exclude: await readIgnoreFile(directory) });
  const { filter } = options;
  const walked: Walk = {
    ...options,
    filter: filter === undefined ? ignored : everyFilter([ignored, filter]),
    files: [],
  };
  await walk(directory, "", [root], walked);
  return walked.files;
}

interface Walk extends WalkOptions {
  filter: PathFilter;
  files: DirectoryFile[];
}

/** `ancestors`: the real paths of the directory and of those it lies in, the walk's root first. */
async function walk(
  directory: string,
  below: string,
  ancestors: readonly [string, ...string[]],
  walked: Walk,
): Promise<void> {
  const { signal, filter, files, onLeftOut } = walked;
  signal.throwIfAborted();
  for (const entry of await list(directory)) {
    const path = join(directory, entry.name);
    const here = below === "" ? entry.name : `${below}/${entry.name}`;
    const isHidden = entry.name.startsWith(".") && !filter.namesHidden;
    const isExcluded = !filter.enters(here) && !filter.takes(here);
    if (isHidden || isExcluded) {
      onLeftOut?.(entry.isDirectory() ? `${here}/` : here);
      continue;
    }
    if (entry.name.includes("\uFFFD")) await mustExist(path);
    // A file that is left out may be a link to nothing: it is not followed.
    if (entry.isSymbolicLink() && !filter.takes(here) && !(await isDirectory(path))) {
      onLeftOut?.(here);
      continue;
    }
    const target = entry.isSymbolicLink()
      ? await followLink(path, ancestors)
      : { stats: entry, real: join(ancestors.at(-1) ?? directory, entry.name) };
    if (target.stats.isDirectory()) {
      if (filter.enters(here)) await walk(path, here, [...ancestors, target.real], walked);
      else onLeftOut?.(`${here}/`);
    } else if (!filter.takes(here)) {
      onLeftOut?.(here);
    } else if (target.stats.isFile()) {
      files.push({ below: here, path });
      if (files.length > maxWeightFiles) {
        throw new OcibundleError("file", `"${ancestors[0]}" has more than ${maxWeightFiles} files`);
      }
    } else {
      throw notAFile(path, target.stats);
    }
  }
}

const isDirectory = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined))?.isDirectory() === true;

async function list(directory: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch (cause) {
    throw unreadable(directory, cause);
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
  let real: string;
  let stats: Stats;
  try {
    real = await realpath(path);
    stats = await stat(real);
  } catch (cause) {
    const code = errno(cause);
    if (code === "ELOOP") throw refusedLink(path, "loops", cause);
    if (code === "ENOENT") throw refusedLink(path, "is broken", cause);
    throw unreadable(path, cause);
  }
  if (stats.isDirectory() && ancestors.some((ancestor) => isInside(ancestor, real))) {
    throw refusedLink(path, "forms a loop");
  }
  return { stats, real };
}

const isInside = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep);

const refusedLink = (path: string, fault: string, cause?: unknown): OcibundleError =>
  new OcibundleError("file", `the symbolic link "${path}" ${fault}`, {
    hint: "remove the link, or add --exclude",
    cause,
  });
