import type { Stats } from "node:fs";
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
 * since they may lead in circles. Throws `usage` for what can't be read, and for what is no file or directory.
 */
export async function namedSeeds(
  { cwd, emit }: Pick<Session, "cwd" | "emit">,
  seeds: readonly string[],
): Promise<string[]> {
  const files = new Set<string>();
  for (const seed of seeds) {
    try {
      for await (const file of filesOf(resolve(cwd, seed))) {
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
  if (files.size > maxSeedFiles) {
    const message = `only the first ${maxSeedFiles} seed files are used`;
    emit({ type: "warning", message });
  }
  return [...files].slice(0, maxSeedFiles);
}

/** Rejects with errno errors. */
async function* filesOf(seed: string): AsyncGenerator<string> {
  const path = await realpath(seed);
  const stats = await stat(path);
  if (stats.isDirectory()) return yield* filesBelow(path);
  if (!stats.isFile()) throw Object.assign(new Error("not a regular file"), { code: "ENOTREG" });
  await access(path, constants.R_OK);
  yield path;
}

/** Not with the `recursive` of `readdir`, which follows links to directories under Bun. Rejects with errno errors. */
async function* filesBelow(directory: string): AsyncGenerator<string> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
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
