import { readdir } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { errno } from "../../errors.ts";
import { unreadable } from "../weights/file-errors.ts";
import {
  isPullLeftover,
  markerDirectory,
  placedName,
  pullLockName,
  useLockName,
} from "../../store/placement/dest-rule.ts";

/**
 * Files that lie beside or below the given ones and are none of them. Looked for in the directories that
 * hold weights, not in all of `dir`, which may be the root of a machine.
 */
export async function extraFiles(dir: string, files: readonly string[]): Promise<string[]> {
  const wanted = new Set(files);
  const directories = new Set(
    files.map((file) => dirname(file)).filter((directory) => directory !== dir),
  );
  const topmost = [...directories].filter(
    (directory) => ![...directories].some((other) => directory.startsWith(other + sep)),
  );
  const extra: string[] = [];
  for (const directory of topmost) {
    for await (const path of filesBelow(directory)) if (!wanted.has(path)) extra.push(path);
  }
  return extra.toSorted();
}

/**
 * All files below a directory that are none of the given ones, nor `ignored`, nor below one that is; links to
 * directories are not followed. What a pull keeps beside the files is none of them either. Throws `system` for a
 * directory that can't be read: nobody knows what is in it.
 */
export async function otherFiles(
  dir: string,
  known: ReadonlySet<string>,
  ignored: readonly string[],
): Promise<string[]> {
  const left = new Set([...ignored, join(dir, markerDirectory)]);
  const above = new Set<string>();
  for (const path of known) {
    for (let up = dirname(path); up.length > dir.length; up = dirname(up)) above.add(up);
  }
  const others: string[] = [];
  const look = async (directory: string): Promise<void> => {
    const entries = await readdir(directory, { withFileTypes: true }).catch((cause: unknown) => {
      throw unreadable(directory, cause);
    });
    for (const entry of entries) {
      const path = join(directory, entry.name);
      if (left.has(path)) continue;
      if (entry.isDirectory()) await look(path);
      // A link to a directory of files that were signed is looked at with them.
      else if (entry.isSymbolicLink() && above.has(path)) continue;
      else if (!known.has(path) && !isOwn(entry.name)) others.push(path);
    }
  };
  await look(dir);
  return others.toSorted();
}

const keptNames: ReadonlySet<string> = new Set([pullLockName, useLockName, placedName]);
const isOwn = (name: string): boolean => keptNames.has(name) || isPullLeftover(name);

async function* filesBelow(directory: string): AsyncGenerator<string> {
  for (const entry of await entriesOf(directory)) {
    if (entry.name === markerDirectory) continue;
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else yield path;
  }
}

async function entriesOf(directory: string) {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    // A directory that is missing or can't be read is told of by the files that should be in it.
    if (errno(error) !== undefined) return [];
    throw error;
  }
}
