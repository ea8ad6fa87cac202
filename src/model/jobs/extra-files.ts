import { readdir } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { errno } from "../../errors.ts";
import { markerFolder } from "../pull/markers.ts";

/**
 * Files that lie beside or below the given ones and are none of them. Looked for in the folders that
 * hold weights, not in all of `dir`, which may be the root of a machine.
 */
export async function extraFiles(dir: string, files: readonly string[]): Promise<string[]> {
  const wanted = new Set(files);
  const folders = new Set(files.map((file) => dirname(file)).filter((folder) => folder !== dir));
  const topmost = [...folders].filter(
    (folder) => ![...folders].some((other) => folder.startsWith(other + sep)),
  );
  const extra: string[] = [];
  for (const folder of topmost) {
    for await (const path of filesBelow(folder)) if (!wanted.has(path)) extra.push(path);
  }
  return extra.toSorted();
}

async function* filesBelow(folder: string): AsyncGenerator<string> {
  for (const entry of await entriesOf(folder)) {
    if (entry.name === markerFolder) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else yield path;
  }
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    // A folder that is missing or can't be read is told of by the files that should be in it.
    if (errno(error) !== undefined) return [];
    throw error;
  }
}
