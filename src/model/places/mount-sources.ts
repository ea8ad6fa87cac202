import type { BlobToMove } from "../../oci/content.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Reference } from "../../oci/reference.ts";
import { openBlobLocations } from "../../store/records/blob-locations.ts";
import type { Session } from "../session/session.ts";

/** Where a registry may have the blobs that go to one of its repositories. Only guesses: it is asked. */
export interface MountSources {
  /** The same blobs, each with the repositories that it could be mounted from. */
  offer(blobs: readonly BlobToMove[]): BlobToMove[];
  /** Remembers that the repository has these blobs now. Never throws. */
  keep(blobs: readonly BlobToMove[]): Promise<void>;
}

/** What earlier runs saw of the registry that a repository is on; `also` are repositories to try first. */
export async function openMountSources(
  { cache }: Session,
  { host, repository }: Pick<Reference, "host" | "repository">,
  also: readonly string[] = [],
): Promise<MountSources> {
  const locations = await openBlobLocations(cache, host);
  const seen = (digest: Digest): string[] =>
    [...also, ...locations.repositories(digest)].filter((other) => other !== repository);
  return {
    offer: (blobs) => withMountFrom(blobs, ({ descriptor }) => seen(descriptor.digest)),
    async keep(blobs) {
      for (const { descriptor } of blobs) locations.add(descriptor.digest, repository);
      await locations.save();
    },
  };
}

/** Adds where each blob could be mounted from. */
export const withMountFrom = (
  blobs: readonly BlobToMove[],
  repositoriesOf: (blob: BlobToMove) => readonly string[],
): BlobToMove[] =>
  blobs.map((blob) => ({
    ...blob,
    mountFrom: [...new Set([...(blob.mountFrom ?? []), ...repositoriesOf(blob)])],
  }));
