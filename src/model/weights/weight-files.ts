import type { Stats } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { OcibundleError } from "../../errors.ts";
import type { ProjectFile } from "../format/project-file.ts";
import { quoted, sortedByName } from "../format/weight-entry.ts";
import { notAFile, unreadable } from "./file-errors.ts";
import {
  isSourceUri,
  parseSourceUri,
  refuseUri,
  shownSource,
  type SourceAddress,
} from "../format/source-uri.ts";
import type { FoundRemote, RemoteChoice } from "./remote-choice.ts";
import type { RemoteFile } from "./remote-file.ts";
import {
  everyFilter,
  nothingTaken,
  type PathFilter,
  pathFilter,
  type PathPatterns,
} from "./path-filter.ts";
import { walkDirectory } from "./weight-directory.ts";
import { giveNames } from "../format/weight-names.ts";

/** Where the files go in the container when nothing else is said. */
const defaultDest = "/src/weights";

/** A file of weights, on this machine or where it can be fetched from. */
export interface WeightFile {
  name: string;
  /** Absolute; of a remote file its address. */
  path: string;
  remote?: RemoteFile | undefined;
  /** The absolute path in the container; not yet checked against the rules for dests. */
  dest: string;
  /** Whether nobody said where the file goes, so that another dest is as good. */
  destIsDefault: boolean;
}

/** A file or a directory of them, as a flag or the project file names it. */
export interface WeightSource {
  /** Absolute; of a source elsewhere its address. */
  path: string;
  address?: SourceAddress | undefined;
  /** The name of the file; for a directory, what its files' names start with. From the path otherwise. */
  name?: string | undefined;
  /** The dest of the file, or of the directory that the files go under. */
  target: { file: string } | { directory: string; isDefault?: boolean };
  /** Which files are taken; all of them without it. */
  filter?: PathFilter | undefined;
  /** Sources with one such number are one: of their files with one dest the last one is taken. */
  merged?: number | undefined;
}

/** How sources are looked up. */
export interface WeightFilesOptions {
  signal: AbortSignal;
  /** Absolute paths that are no weights though they lie in a directory: the lock itself. */
  except?: readonly string[] | undefined;
  /** The files of a source elsewhere; needed where there is one. */
  remoteFiles?: (address: SourceAddress, choice: RemoteChoice) => Promise<FoundRemote[]>;
  /** Told of each file or directory in a directory that is left out. */
  onLeftOut?: ((path: string) => void) | undefined;
}

/** The sources that paths on the command line are; `dest` is the directory they go under. Throws `usage`. */
export const pathSources = (
  paths: readonly string[],
  cwd: string,
  dest?: string,
  patterns: PathPatterns = {},
): WeightSource[] =>
  paths.map((path) => {
    const place = { target: targetDirectory(dest), filter: filterOf(patterns) };
    const address = parseSourceUri(path);
    return address === undefined
      ? { path: resolve(cwd, path), ...place }
      : { path: shownSource(path), address, ...place };
  });

/** The sources that `--file NAME=PATH` flags are. Throws `usage`. */
export const fileSources = (flags: readonly string[], cwd: string, dest?: string): WeightSource[] =>
  flags.map((flag) => {
    const [, name, path] = /^([^=]+)=(.+)$/s.exec(flag) ?? [];
    if (name === undefined || path === undefined) {
      throw new OcibundleError("usage", `--file ${quoted(flag)}: not a NAME=PATH`, {
        hint: "use the name in the lock, such as --file llama=./weights/llama.safetensors",
      });
    }
    refuseUri(path);
    return { name, path: resolve(cwd, path), target: targetDirectory(dest) };
  });

/** The sources that a project file lists; its paths are relative to the directory it lies in. */
export const projectSources = (
  { weights }: ProjectFile,
  path: string,
  patterns: PathPatterns = {},
): WeightSource[] =>
  weights.flatMap(({ name, sources, target, include, exclude }, index) =>
    sources.map((source) => ({
      name,
      ...placeOf(source.path, dirname(path)),
      target: sources.length === 1 ? { file: target } : { directory: target },
      filter: filterOf(source, { include, exclude }, patterns),
      merged: sources.length === 1 ? undefined : index,
    })),
  );

function placeOf(text: string, directory: string): Pick<WeightSource, "path" | "address"> {
  const address = isSourceUri(text) ? parseSourceUri(text) : undefined;
  return address === undefined
    ? { path: resolve(directory, text) }
    : { path: shownSource(text), address };
}

/** The filter of several lists of patterns, or undefined where there are none. Throws `usage`. */
function filterOf(...lists: readonly PathPatterns[]): PathFilter | undefined {
  const given = lists.filter(
    ({ include = [], exclude = [] }) => include.length + exclude.length > 0,
  );
  return given.length === 0 ? undefined : everyFilter(given.map((list) => pathFilter(list)));
}

/**
 * Finds the files of the sources and gives each its name (docs/format.md), sorted by name.
 * Throws `file`, naming the path, when one is missing, is no file, or two would have one name.
 */
export async function findWeightFiles(
  sources: readonly WeightSource[],
  options: WeightFilesOptions,
): Promise<WeightFile[]> {
  const except = new Set(options.except);
  const found = new Map<string, Found>();
  for (const source of sources) {
    const { merged } = source;
    for (const file of await filesOf(source, options)) {
      if (except.has(file.path)) continue;
      const { path, dest, name } = file;
      const key = JSON.stringify(merged === undefined ? [path, dest, name] : [merged, dest]);
      if (merged !== undefined || !found.has(key)) found.set(key, file);
    }
  }
  return sortedByName(giveNames([...found.values()])).map(
    ({ name, path, remote, dest, destIsDefault }) => ({
      name,
      path,
      ...(remote === undefined ? {} : { remote }),
      dest,
      destIsDefault,
    }),
  );
}

interface Found {
  path: string;
  remote?: RemoteFile | undefined;
  dest: string;
  destIsDefault: boolean;
  /** The path below the given directory, which becomes the name unless there is one already. */
  below: string;
  name?: string | undefined;
}

async function filesOf(source: WeightSource, options: WeightFilesOptions): Promise<Found[]> {
  const { path, name, target, filter } = source;
  if (source.address !== undefined) {
    return await filesElsewhere(source, source.address, options);
  }
  const stats = await statSource(path);
  const destIsDefault = "directory" in target && target.isDefault === true;
  if (stats.isFile()) {
    const below = basename(path);
    if (filter?.takes(below) === false) {
      if (isProjects(source)) throw nothingTaken(path);
      options.onLeftOut?.(path);
      return [];
    }
    const dest = "file" in target ? target.file : under(target.directory, below);
    return [{ path, dest, destIsDefault, below, name }];
  }
  if (!stats.isDirectory()) throw notAFile(path, stats);
  const directory = "file" in target ? target.file : target.directory;
  const { signal, onLeftOut } = options;
  const files = await walkDirectory(path, {
    signal,
    filter,
    onLeftOut: (below) => onLeftOut?.(join(path, below)),
  });
  if (filter !== undefined && files.length === 0 && isProjects(source)) throw nothingTaken(path);
  return files.map(({ path: file, below }) => ({
    path: file,
    dest: under(directory, below),
    destIsDefault,
    below: name === undefined ? below : `${name}/${below}`,
  }));
}

async function filesElsewhere(
  source: WeightSource,
  address: SourceAddress,
  { remoteFiles, onLeftOut }: WeightFilesOptions,
): Promise<Found[]> {
  const { path, name, target, filter } = source;
  if (remoteFiles === undefined) throw new TypeError(`nothing lists the files of ${path}`);
  const files = await remoteFiles(address, { filter, onLeftOut });
  if (files.length === 0 && isProjects(source)) throw nothingTaken(path);
  const destIsDefault = "directory" in target && target.isDefault === true;
  const directory = "file" in target ? target.file : target.directory;
  return files.map(({ below, isNamed, remote }) => {
    const found = { path: remote.uri, remote, destIsDefault };
    const dest = isNamed && "file" in target ? target.file : under(directory, below);
    if (isNamed || name === undefined) return { ...found, dest, below, name };
    return { ...found, dest, below: `${name}/${below}` };
  });
}

/** Whether a project file lists the source: patterns that leave nothing of it are a mistake then. */
const isProjects = ({ target, merged }: WeightSource): boolean =>
  "file" in target || merged !== undefined;

async function statSource(path: string): Promise<Stats> {
  try {
    return await stat(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

// Not path.join, which would resolve the ".." that is to be refused.
const under = (directory: string, below: string): string =>
  directory === "/" ? `/${below}` : `${directory}/${below}`;

const targetDirectory = (dest: string | undefined): WeightSource["target"] =>
  dest === undefined
    ? { directory: defaultDest, isDefault: true }
    : { directory: dest.replace(/(?<=[^/])\/+$/, "") };
