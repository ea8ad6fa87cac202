import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { errno } from "../../../errors.ts";
import { isRepositoryName } from "../../../oci/reference.ts";
import { repositoriesDirectory } from "./paths.ts";

/** A repository's own directories. */
export const repositoryParts = {
  blobs: "_blobs",
  manifests: "_manifests",
  referrers: "_referrers",
  tags: "_tags",
  uploads: "_uploads",
} as const;

const parts: ReadonlySet<string> = new Set(Object.values(repositoryParts));

/** The names of all repositories, unordered, one at a time; those that were only begun among them. */
export async function* repositoryNames(root: string): AsyncGenerator<string, void, undefined> {
  const directory = repositoriesDirectory(root);
  const left = [""];
  for (let name = left.pop(); name !== undefined; name = left.pop()) {
    let isRepository = false;
    for (const entry of await entriesOf(join(directory, name))) {
      if (parts.has(entry)) isRepository = true;
      else if (isRepositoryName(entry)) left.push(name === "" ? entry : `${name}/${entry}`);
    }
    if (isRepository) yield name;
  }
}

async function entriesOf(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch (error) {
    // It may have been removed since its name was read.
    if (errno(error) === "ENOENT") return [];
    throw error;
  }
}
