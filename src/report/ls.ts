import type { ErrorCode } from "../errors.ts";
import type { Digest } from "../oci/digest.ts";

/** What `ls` lists; with `--json` its shape is part of the surface (docs/json.md). Sizes in bytes. */
export type Listing = RepositoryListing | RegistryListing;

/** The repositories of a registry. */
export interface RegistryListing {
  name: string;
  /** Names below the registry's host. */
  repositories: string[];
}

/** The tags of a repository. */
export interface RepositoryListing {
  name: string;
  tags: TagListing[];
  /** All tags together, each blob once. */
  size: number;
  /** Tags of attachments (`sha256-<hex>.sig` and its like), which are not among `tags`. */
  attachments: number;
}

/** One tag; members are null where its manifest could not be read. */
export interface TagListing {
  tag: string;
  digest: Digest | null;
  kind: NodeKind | null;
  /** Of weights: the format they are stored in. */
  format: string | null;
  /** Manifests and blobs, each once; `own` is what no other tag of the repository has. */
  size: number | null;
  own: number | null;
  shared: number | null;
  created: string | null;
  /** Whether a signature refers to it; null where that could not be found out. */
  signed: boolean | null;
  /** Why it can't be read, or not all of it; null where all is well. */
  error: { code: ErrorCode; message: string } | null;
}

/** What a manifest is, in one word. */
export type NodeKind = "bundle" | "weights" | "image" | "index" | "artifact";
