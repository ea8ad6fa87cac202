import { join } from "node:path";
import { type Digest, isDigest } from "../../../oci/digest.ts";
import { isTag } from "../../../oci/reference.ts";
import { namesIn, readSmall, removed, replaceSmall } from "./files.ts";
import { repositoriesDirectory } from "./paths.ts";
import { repositoryParts } from "./repositories.ts";

/** Which tag of a repository names which manifest. */
export interface TagLinks {
  find(repository: string, tag: string): Promise<Digest | undefined>;
  /** Makes or moves the tag, in one step. */
  put(repository: string, tag: string, digest: Digest): Promise<void>;
  /** False: there was no such tag. */
  remove(repository: string, tag: string): Promise<boolean>;
  /** Removes all tags of a manifest. */
  removeAllOf(repository: string, digest: Digest): Promise<void>;
  /** In the order of `compareTags`. */
  list(repository: string): Promise<string[]>;
}

/** distribution-spec v1.1, listing tags: lexical order, which is case-insensitive there. */
export function compareTags(a: string, b: string): number {
  const [lowerA, lowerB] = [a.toLowerCase(), b.toLowerCase()];
  if (lowerA !== lowerB) return lowerA < lowerB ? -1 : 1;
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

// Tags are case-sensitive, and some file systems are not; no tag has a "+".
const fileName = (tag: string): string =>
  tag.replaceAll(/[A-Z]/g, (letter) => `+${letter.toLowerCase()}`);
const tagOfFile = (name: string): string =>
  name.replaceAll(/\+([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** The tags in a storage at `root`. Touches no file by itself. */
export function openTagLinks(root: string): TagLinks {
  const directory = (repository: string): string =>
    join(repositoriesDirectory(root), repository, repositoryParts.tags);
  const path = (repository: string, tag: string): string =>
    join(directory(repository), fileName(tag));
  const find = async (repository: string, tag: string): Promise<Digest | undefined> => {
    const text = await readSmall(path(repository, tag));
    return text !== undefined && isDigest(text) ? text : undefined;
  };
  const list = async (repository: string): Promise<string[]> =>
    (await namesIn(directory(repository))).map(tagOfFile).filter(isTag).toSorted(compareTags);
  return {
    find,
    list,
    put: (repository, tag, digest) => replaceSmall(path(repository, tag), digest),
    remove: (repository, tag) => removed(path(repository, tag)),
    async removeAllOf(repository, digest) {
      for (const tag of await list(repository)) {
        if ((await find(repository, tag)) === digest) await removed(path(repository, tag));
      }
    },
  };
}
