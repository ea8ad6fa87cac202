import type { Stats } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { OcibundleError } from "../../errors.ts";
import type { ProjectFile } from "../format/project-file.ts";
import { quoted, sortedByName } from "../format/weight-entry.ts";
import { notAFile, unreadable, walkFolder } from "./weight-folder.ts";
import { giveNames } from "./weight-names.ts";

/** Where the files go in the container when nothing else is said. */
const defaultDest = "/src/weights";

/** A file of weights on this machine. */
export interface WeightFile {
  name: string;
  /** Absolute. */
  path: string;
  /** The absolute path in the container; not yet checked against the rules for dests. */
  dest: string;
  /** Whether nobody said where the file goes, so that another dest is as good. */
  destIsDefault: boolean;
}

/** A file or a folder of them, as a flag or the project file names it. */
export interface WeightSource {
  /** Absolute. */
  path: string;
  /** The name of the file; for a folder, what its files' names start with. From the path otherwise. */
  name?: string | undefined;
  /** The dest of the file, or of the folder that the files go under. */
  target: { file: string } | { folder: string; isDefault?: boolean };
}

export interface WeightFilesOptions {
  signal: AbortSignal;
  /** Absolute paths that are no weights though they lie in a folder: the lock itself. */
  except?: readonly string[] | undefined;
  onHidden?: ((path: string) => void) | undefined;
}

/** The sources that paths on the command line are; `dest` is the folder they go under. */
export const pathSources = (paths: readonly string[], cwd: string, dest?: string): WeightSource[] =>
  paths.map((path) => ({ path: resolve(cwd, path), target: targetFolder(dest) }));

/** The sources that `--file NAME=PATH` flags are. Throws `usage`. */
export const fileSources = (flags: readonly string[], cwd: string, dest?: string): WeightSource[] =>
  flags.map((flag) => {
    const [, name, path] = /^([^=]+)=(.+)$/s.exec(flag) ?? [];
    if (name === undefined || path === undefined) {
      throw new OcibundleError("usage", `--file ${quoted(flag)}: not a NAME=PATH`, {
        hint: "name the file as the lock does, as --file llama=./weights/llama.safetensors",
      });
    }
    return { name, path: resolve(cwd, path), target: targetFolder(dest) };
  });

/** The sources that a project file lists; its paths are relative to the folder it lies in. */
export const projectSources = ({ weights }: ProjectFile, path: string): WeightSource[] =>
  weights.map(({ name, source, target }) => ({
    name,
    path: resolve(dirname(path), source),
    target: { file: target },
  }));

/**
 * Finds the files of the sources and gives each its name (docs/format.md), sorted by name.
 * Throws `file`, naming the path, when one is missing, is no file, or two would have one name.
 */
export async function findWeightFiles(
  sources: readonly WeightSource[],
  options: WeightFilesOptions,
): Promise<WeightFile[]> {
  const except = new Set(options.except);
  const found: Found[] = [];
  const seen = new Set<string>();
  for (const source of sources) {
    for (const file of await filesOf(source, options)) {
      const key = JSON.stringify([file.path, file.dest, file.name]);
      if (except.has(file.path) || seen.has(key)) continue;
      seen.add(key);
      found.push(file);
    }
  }
  return sortedByName(giveNames(found)).map(({ name, path, dest, destIsDefault }) => ({
    name,
    path,
    dest,
    destIsDefault,
  }));
}

interface Found {
  path: string;
  dest: string;
  destIsDefault: boolean;
  /** The path below the given folder, which becomes the name unless there is one already. */
  below: string;
  name?: string | undefined;
}

async function filesOf(source: WeightSource, options: WeightFilesOptions): Promise<Found[]> {
  const { path, name, target } = source;
  const stats = await statSource(path);
  const destIsDefault = "folder" in target && target.isDefault === true;
  if (stats.isFile()) {
    const below = basename(path);
    const dest = "file" in target ? target.file : under(target.folder, below);
    return [{ path, dest, destIsDefault, below, name }];
  }
  if (!stats.isDirectory()) throw notAFile(path, stats);
  const folder = "file" in target ? target.file : target.folder;
  const files = await walkFolder(path, options);
  return files.map(({ path: file, below }) => ({
    path: file,
    dest: under(folder, below),
    destIsDefault,
    below: name === undefined ? below : `${name}/${below}`,
  }));
}

async function statSource(path: string): Promise<Stats> {
  try {
    return await stat(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

// Not path.join, which would resolve the ".." that is to be refused.
const under = (folder: string, below: string): string =>
  folder === "/" ? `/${below}` : `${folder}/${below}`;

const targetFolder = (dest: string | undefined): WeightSource["target"] =>
  dest === undefined
    ? { folder: defaultDest, isDefault: true }
    : { folder: dest.replace(/(?<=[^/])\/+$/, "") };
