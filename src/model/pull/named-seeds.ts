import type { Dirent, Stats } from "node:fs";
import { access, constants, readdir, realpath, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { errno, OcibundleError } from "../../errors.ts";
import { unreadableBecause } from "../../runtime/file-faults.ts";
import type { Session } from "../session/session.ts";

/** Files that are looked at below the directories that are named as seeds. */
const maxSeedFiles = 10_000;

/**
 * The files that `--seed` names, each once, by their real paths: a regular file, or those below a directory. Links
 * to files are followed, since caches keep the bytes elsewhere; those to directories only where they are named,
 * since they may lead in circles. Directories below the named ones that can't be read, such as `lost+found`, are passed
 * over with a warning. Throws `usage` for what is named and can't be read, and for what is no file or directory.
 */
export async function namedSeeds(
  { cwd, emit }: Pick<Session, "cwd" | "emit">,
  seeds: readonly string[],
): Promise<string[]> {
  const files = new Set<string>();
  const unread: Unread[] = [];
  for (const seed of seeds) {
    try {
      for await (const file of filesOf(resolve(cwd, seed), unread)) {
        files.add(file);
        if (files.size > maxSeedFiles) break;
      }
    } catch (error) {
      if (errno(error) === undefined) throw error;
      throw new OcibundleError(
        "usage",
        `cannot use "${seed}" as a seed: it ${unreadableBecause(error)}`,
        { hint: "use a readable file or directory for --seed", cause: error },
      );
    }
  }
  const [first] = unread;
  if (first !== undefined) {
    const rest = unread.length > 1 ? `, and ${unread.length - 1} more directories` : "";
    const message = `no seeds from "${first.path}", which ${unreadableBecause(first.error)}${rest}`;
    emit({ type: "warning", message });
  }
  if (files.size > maxSeedFiles) {
    const message = `only the first ${maxSeedFiles} seed files are used`;
    emit({ type: "warning", message });
  }
  return [...files].slice(0, maxSeedFiles);
}

/** A directory whose files are not known. */
interface Unread {
  path: string;
  error: unknown;
}

/** Rejects with errno errors. */
async function* filesOf(seed: string, unread: Unread[]): AsyncGenerator<string> {
  const path = await realpath(seed);
  const stats = await stat(path);
  if (stats.isDirectory()) return yield* filesBelow(path, await entriesOf(path), unread);
  if (!stats.isFile()) throw Object.assign(new Error("not a regular file"), { code: "ENOTREG" });
  await access(path, constants.R_OK);
  yield path;
}

const entriesOf = (directory: string): Promise<Dirent[]> =>
  readdir(directory, { withFileTypes: true });

/** Not with the `recursive` of `readdir`, which follows links to directories under Bun. */
async function* filesBelow(
  directory: string,
  entries: readonly Dirent[],
  unread: Unread[],
): AsyncGenerator<string> {
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      try {
        yield* filesBelow(path, await entriesOf(path), unread);
      } catch (error) {
        if (errno(error) === undefined) throw error;
        unread.push({ path, error });
      }
    } else if (entry.isFile()) yield path;
    else if (entry.isSymbolicLink()) {
      const target = await targetOf(path);
      if (target?.stats.isFile() === true) yield target.path;
    }
  }
}

/** What a link leads to; undefined for one that leads nowhere. */
async function targetOf(link: string): Promise<{ path: string; stats: Stats } | undefined> {
  try {
    const path = await realpath(link);
    return { path, stats: await stat(path) };
  } catch {
    return undefined;
  }
}
