import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { OcibundleError, withContext } from "../../errors.ts";
import { projectWeightPaths, type WeightPaths } from "./project-weights.ts";
import type { Session } from "../session/session.ts";
import { remoteFiles } from "../weights/remote-files.ts";
import type { RemoteFile } from "../weights/remote-file.ts";
import { shownSource } from "../format/source-uri.ts";
import { quoted, type WeightEntry } from "../format/weight-entry.ts";
import {
  fileSources,
  findWeightFiles,
  pathSources,
  type WeightSource,
} from "../weights/weight-files.ts";

/** Where the files of a lock lie, as the command line says. */
export interface FilesChoice {
  /** Directories that hold the lock's files. */
  weights: readonly string[];
  /** `NAME=PATH` for single files. */
  file: readonly string[];
  /** Patterns as in .gitignore, for the directories and for those of the project file. */
  include?: readonly string[] | undefined;
  exclude?: readonly string[] | undefined;
}

/**
 * Where each file of the lock lies. What flags name must be there, and a directory that is named must have
 * all files that no `--file` names: a file that is not in it is not what the lock says. With `--file` alone
 * the other files need not be on this machine; `missing` is thrown when they turn out to be needed.
 * Throws `file`, `usage`, and as `findWeightFiles`.
 */
export async function weightPaths(
  session: Session,
  { weights, file, include, exclude }: FilesChoice,
  lock: string,
  entries: readonly WeightEntry[],
): Promise<WeightPaths> {
  const { cwd, signal } = session;
  const patterns = { include, exclude };
  const lacks = (where: string): OcibundleError =>
    new OcibundleError("file", `listed in ${lock}, but ${where}`, {
      hint: "specify its directory with --weights DIR, or the file with --file NAME=PATH",
    });
  if (weights.length === 0 && file.length === 0) {
    const found = await projectWeightPaths(session, lock, entries, patterns);
    if (found !== undefined) return found;
    const none = { paths: new Map(), remotes: new Map(), unlocked: [] };
    return { ...none, missing: () => lacks("no --weights or --file was given") };
  }
  const files = fileSources(file, cwd);
  await checkFileFlags(files, entries, lock);
  const found = await findWeightFiles(
    [...files, ...pathSources(weights, cwd, undefined, patterns)],
    {
      signal,
      except: [resolve(cwd, lock)],
      remoteFiles: (address, choice) => remoteFiles(session, address, choice),
    },
  );
  const paths = new Map<string, string>();
  const remotes = new Map<string, RemoteFile>();
  for (const { name, path, remote } of found) {
    if (remote === undefined) paths.set(name, path);
    else remotes.set(name, remote);
  }
  const isThere = (name: string): boolean => paths.has(name) || remotes.has(name);
  const missing = () => lacks(`not among the files of ${flagsOf(weights, file)}`);
  const lost = weights.length === 0 ? undefined : entries.find(({ name }) => !isThere(name));
  if (lost !== undefined) throw withContext(`weight ${quoted(lost.name)}`, missing());
  const locked = new Set(entries.map(({ name }) => name));
  const unlocked = found.map(({ name }) => name).filter((name) => !locked.has(name));
  return { paths, remotes, unlocked, missing };
}

const flagsOf = (weights: readonly string[], file: readonly string[]): string =>
  [
    ...weights.map((directory) => `--weights ${quoted(shownSource(directory))}`),
    ...(file.length === 0 ? [] : ["--file"]),
  ].join(", ");

/** Each `--file` says where one file of the lock lies. Throws `usage`. */
async function checkFileFlags(
  sources: readonly WeightSource[],
  entries: readonly WeightEntry[],
  lock: string,
): Promise<void> {
  const names = new Set(entries.map(({ name }) => name));
  for (const { name = "", path } of sources) {
    if (!names.has(name)) {
      const some = [...names].slice(0, 5).map(quoted).join(", ");
      throw new OcibundleError("usage", `--file ${name}=…: ${lock} has no ${quoted(name)}`, {
        hint: `it has ${some}${names.size > 5 ? ", …" : ""}`,
      });
    }
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isDirectory() === true) {
      throw new OcibundleError("usage", `--file ${name}=…: "${path}" is a directory`, {
        hint: "use --weights DIR for directories",
      });
    }
  }
}

/** Warns of files that the lock does not list: they are not pushed. */
export function tellUnlocked({ emit }: Session, unlocked: readonly string[], lock: string): void {
  const [first, ...more] = unlocked;
  if (first === undefined) return;
  const others = more.length === 0 ? "is" : `and ${more.length} more are`;
  emit({ type: "warning", message: `weight ${quoted(first)} ${others} not in ${lock}` });
}
