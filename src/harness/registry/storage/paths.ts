import { join } from "node:path";
import { type Digest, digestAlgorithm, digestHex } from "../../../oci/digest.ts";

/**
 * Where everything lies below the storage's directory (described in docs/dev/embedded-registry.md). A repository's
 * parts never start with "_", so its own directories can't be taken for a repository's.
 */
export const contentPath = (root: string, digest: Digest): string =>
  join(root, "blobs", digestAlgorithm(digest), digestHex(digest).slice(0, 2), digestHex(digest));

/** Where files grow before they get their names. */
export const temporaryDirectory = (root: string): string => join(root, "tmp");

/** Where all repositories lie. */
export const repositoriesDirectory = (root: string): string => join(root, "repositories");

/** Where one repository lies. Its name must have been checked. */
export const repositoryDirectory = (root: string, name: string): string =>
  join(repositoriesDirectory(root), ...name.split("/"));

/** A digest as a path of two parts below `directory`. */
export const digestPath = (directory: string, digest: Digest): string =>
  join(directory, digestAlgorithm(digest), digestHex(digest));
