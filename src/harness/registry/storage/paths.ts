import { join } from "node:path";
import { type Digest, digestAlgorithm, digestHex } from "../../../oci/digest.ts";

/**
 * Where everything lies below the storage's folder (described in docs/dev/embedded-registry.md). A repository's
 * parts never start with "_", so its own folders can't be taken for a repository's.
 */
export const contentPath = (root: string, digest: Digest): string =>
  join(root, "blobs", digestAlgorithm(digest), digestHex(digest).slice(0, 2), digestHex(digest));

export const temporaryFolder = (root: string): string => join(root, "tmp");

export const repositoriesFolder = (root: string): string => join(root, "repositories");

export const repositoryFolder = (root: string, name: string): string =>
  join(repositoriesFolder(root), ...name.split("/"));

/** A digest as a path of two parts below `folder`. */
export const digestPath = (folder: string, digest: Digest): string =>
  join(folder, digestAlgorithm(digest), digestHex(digest));
