import type { Digest } from "../oci/digest.ts";

/** What `pull` did; with `--json` its shape is part of the surface (docs/json.md). Sizes in bytes. */
export interface PullReport {
  name: string;
  /** Names the model by its digest for good, where it came from a registry; else null. */
  reference: string | null;
  /** Of the weights artifact; of the index where it has several. */
  digest: Digest;
  /** What the weights are stored as: `bundle`, `cog`, `modelpack` … */
  formats: string[];
  dir: string;
  files: { name: string; path: string; size: number; outcome: "fetched" | "cached" | "kept" }[];
  /** Bytes of fetched files that an earlier run had fetched. */
  resumed: number;
  /** Bytes of fetched files that were taken from other files on this machine. */
  reused: number;
  milliseconds: number;
}

/** What became of a pulled image; with `--json` its shape is part of the surface (docs/json.md). */
export interface PulledImage {
  /** Where it is now. */
  target: string;
  /** Names the image by its digest for good, where it came from a registry; else null. */
  reference: string | null;
  digest: Digest;
  /** As its config says it, or null where nothing does. */
  platform: string | null;
  /** What was written, and what was there already, in bytes. */
  written: number;
  present: number;
  milliseconds: number;
}
