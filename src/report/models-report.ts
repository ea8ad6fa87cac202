import type { Digest } from "../oci/digest.ts";

/**
 * What versions of models store and share; with `--json` its shape is part of the surface (docs/json.md). Sizes in
 * bytes.
 */
export interface ModelsReport {
  /** What was asked for, as it was named. */
  models: string[];
  /** Oldest first within a repository. */
  versions: VersionReport[];
  /** Tags that can't be read, and why. */
  broken: { name: string; message: string }[];
  /** Tags that matched, and were left out since there are more than `--last`. */
  leftOut: number;
  /** All versions together, each blob once. */
  size: number;
  /** The weight files of all versions, by name. */
  files: FileReport[];
  /** Every blob, the largest first. */
  blobs: BlobReport[];
  /** `fetch[a][b]`: what a node that has version a downloads for version b. */
  fetch: number[][];
}

/** One version of a model. */
export interface VersionReport {
  /** The whole reference, or the name of a layout or an archive. */
  name: string;
  /** Short: the tag. */
  label: string;
  digest: Digest;
  type: "bundle" | "index" | "image" | "weights" | "artifact";
  /** Of weights: the format they are stored in. */
  format: string | null;
  created: string | null;
  /** Everything that it stores, and what no other version of the report has. */
  size: number;
  own: number;
  /** Weight files and their original sizes together. */
  files: number;
  weights: number;
  /** Whether more weight files can be in its archives or image layers, which are not unpacked. */
  unlisted: boolean;
}

/** A weight file by its name, and what it is in which versions, by their places in the list of versions. */
export interface FileReport {
  name: string;
  /** Sizes and digests of the file itself; `parts`: how many it is stored in, null for a file in one piece. */
  contents: { digest: Digest; size: number; parts: number | null; versions: number[] }[];
}

/** A stored blob and the versions that have it, by their places in the list of versions. */
export interface BlobReport {
  digest: Digest;
  size: number;
  kind: BlobKind;
  /** The weight files that it stores, or stores a part of. */
  names: readonly string[];
  versions: number[];
}

/** What a blob is, for the colors and sums of the report. */
export type BlobKind = "weights" | "part" | "image" | "manifest" | "other";
