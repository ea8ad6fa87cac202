import { readdir } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { errno } from "../../errors.ts";
import { markerDirectory } from "../../store/placement/dest-rule.ts";

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
