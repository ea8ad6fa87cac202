import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { errno, OcibundleError, withContext } from "../../errors.ts";
import { readProjectFile } from "../format/read-project-file.ts";
import { quoted, type WeightEntry } from "../format/weight-entry.ts";
import type { Session } from "../session/session.ts";
import { remoteFiles } from "../weights/remote-files.ts";
import type { RemoteFile } from "../weights/remote-file.ts";
import type { PathPatterns } from "../weights/path-filter.ts";
import { findWeightFiles, projectSources, type WeightSource } from "../weights/weight-files.ts";
import { unreadable } from "../weights/file-errors.ts";

/** Where the files of a lock lie on this machine. */
export interface WeightPaths {
  /** By the name that the lock has for the file. */
  paths: ReadonlyMap<string, string>;
  /** Those that are not on this machine, by the same names. */
  remotes: ReadonlyMap<string, RemoteFile>;
  /** Names of files that are there and not in the lock. */
  unlocked: readonly string[];
  /** Why there is no path for an entry, to be thrown when its file is needed. */
  missing(): OcibundleError;
}

/**
 * Where the lock's files lie as the working directory's project file says, or undefined where there is no
 * project file. A source that does not exist may be missing: weights that were pushed already need not be
 * on this machine. A source that exists must have all its files.
 *
 * Throws `file` for what can't be read and for a file that is gone, `integrity` for a target that is not
 * the lock's dest.
 */
export async function projectWeightPaths(
  session: Session,
  lock: string,
  entries: readonly WeightEntry[],
  patterns: PathPatterns,
): Promise<WeightPaths | undefined> {
  const { cwd, signal } = session;
  const project = await readProjectFile(cwd);
  if (project === undefined) return undefined;
  const on = project.path;
  const sources = projectSources(project.project, on, patterns);
  const faults = await Promise.all(
    sources.map(({ path, address }) =>
      address === undefined ? absence(path) : Promise.resolve(undefined),
    ),
  );
  const present = sources.filter((_, index) => faults[index] === undefined);
  const files = await findWeightFiles(present, {
    signal,
    except: [resolve(cwd, lock)],
    remoteFiles: (address, choice) => remoteFiles(session, address, choice),
  });
  const byName = new Map(files.map((file) => [file.name, file]));
  // Names depend on what lies beside a file, dests do not.
  const byDest = new Map(files.map((file) => [file.dest, file]));
  const paths = new Map<string, string>();
  const remotes = new Map<string, RemoteFile>();
  const unlocked = new Set(files);
  for (const entry of entries) {
    const file = byDest.get(entry.dest) ?? byName.get(entry.name);
    if (file === undefined) {
      if (present.some((source) => holds(source, entry))) throw gone(entry, lock, on);
      continue;
    }
    if (file.dest !== entry.dest) throw moved(entry, file.dest, lock, on);
    if (file.remote === undefined) paths.set(entry.name, file.path);
    else remotes.set(entry.name, file.remote);
    unlocked.delete(file);
  }
  const absent = faults.find((fault) => fault !== undefined);
  const unlisted = () =>
    new OcibundleError("file", `listed in ${lock}, but not among the weights of "${on}"`, {
      hint: "specify its directory with --weights DIR, or the file with --file NAME=PATH",
    });
  return {
    paths,
    remotes,
    unlocked: [...unlocked].map(({ name }) => name),
    missing: () => absent ?? unlisted(),
  };
}

/** The error for a path where nothing is. Throws `file` or `system` where that can't be found out. */
async function absence(path: string): Promise<OcibundleError | undefined> {
  try {
    await stat(path);
    return undefined;
  } catch (cause) {
    const code = errno(cause);
    if (code === "ENOENT" || code === "ENOTDIR") return unreadable(path, cause);
    throw unreadable(path, cause);
  }
}

/** Whether an entry's file is one of a source's, by its dest. */
function holds({ target }: WeightSource, { dest }: WeightEntry): boolean {
  const root = "file" in target ? target.file : target.directory;
  return dest === root || dest.startsWith(root === "/" ? root : `${root}/`);
}

const lockFirst = "run `ocibundle lock`, then push again";

const gone = (entry: WeightEntry, lock: string, project: string): unknown =>
  withContext(
    `weight ${quoted(entry.name)}`,
    new OcibundleError(
      "file",
      `listed in ${lock}, but no longer among the weights of "${project}"`,
      { hint: lockFirst },
    ),
  );

const moved = (entry: WeightEntry, dest: string, lock: string, project: string): OcibundleError =>
  new OcibundleError(
    "integrity",
    `weight ${quoted(entry.name)}: its target in "${project}" is ${dest}, but in ${lock} it is ${entry.dest}`,
    { hint: lockFirst },
  );
