import { join } from "node:path";
import { type Digest } from "../../../oci/digest.ts";
import type { Content } from "./content.ts";
import { fileSize, removed, touch } from "./files.ts";
import { placer } from "./place-file.ts";
import type { Turns } from "./in-turn.ts";
import { digestPath, repositoriesDirectory } from "./paths.ts";
import { repositoryNames, repositoryParts } from "./repositories.ts";

/** Which repository has which blob: an empty file for each. Changed together with the content, in turn. */
export interface BlobLinks {
  /** The blob's size in bytes; undefined when this repository does not have it. */
  size(repository: string, digest: Digest): Promise<number | undefined>;
  /** Gives the repository a blob that some repository has; false when there is none. */
  link(repository: string, digest: Digest): Promise<boolean>;
  /** Flushes a checked file, puts it under its digest and gives it to the repository; that is flushed as well. */
  adopt(repository: string, digest: Digest, file: string): Promise<void>;
  /** Takes the blob from the repository, and removes the content when no other has it. False: it had none. */
  remove(repository: string, digest: Digest): Promise<boolean>;
}

/** The links in a storage at `root`. Touches no file by itself. */
export function openBlobLinks(root: string, content: Content, turns: Turns): BlobLinks {
  const path = (repository: string, digest: Digest): string =>
    digestPath(join(repositoriesDirectory(root), repository, repositoryParts.blobs), digest);
  return {
    async size(repository, digest) {
      if ((await fileSize(path(repository, digest))) === undefined) return undefined;
      return await content.size(digest);
    },
    link: (repository, digest) =>
      turns.inTurn(digest, async () => {
        if ((await content.size(digest)) === undefined) return false;
        await touch(path(repository, digest));
        return true;
      }),
    adopt: (repository, digest, file) =>
      turns.inTurn(digest, async () => {
        await placer.place({
          path: file,
          to: content.path(digest),
          mark: path(repository, digest),
        });
      }),
    remove: (repository, digest) =>
      turns.inTurn(digest, async () => {
        if (!(await removed(path(repository, digest)))) return false;
        if (!(await isLinked(root, digest))) await content.remove(digest);
        return true;
      }),
  };
}

/** Whether any repository has this as a blob or as a manifest. */
export async function isLinked(root: string, digest: Digest): Promise<boolean> {
  for await (const name of repositoryNames(root)) {
    for (const part of [repositoryParts.blobs, repositoryParts.manifests]) {
      const path = digestPath(join(repositoriesDirectory(root), name, part), digest);
      if ((await fileSize(path)) !== undefined) return true;
    }
  }
  return false;
}
