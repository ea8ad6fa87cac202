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
  files: PulledFile[];
  /** Bytes that this run fetched, as they are stored: less than the files where those are compressed. */
  fetched: number;
  /** Bytes of fetched files that an earlier run had fetched. */
  resumed: number;
  /** Bytes of fetched files that were taken from other files on this machine. */
  reused: number;
  /** What was made for clients of a hub; null unless that was asked for. */
  hfCache: HubCacheReport | null;
  milliseconds: number;
}

/** What a pull would do; with `--json` its shape is part of the surface (docs/json.md). Sizes in bytes. */
export interface PullPlanReport {
  dryRun: true;
  name: string;
  reference: string | null;
  digest: Digest;
  formats: string[];
  dir: string;
  files: PlannedFile[];
  /** Archives that would be fetched whole, and unpacked; files of theirs may be listed or not. */
  archives: { digest: Digest; size: number; listed: boolean }[];
  /** Bytes to fetch, each once. */
  fetch: number;
  /** Bytes of the files that an earlier run fetched, and that would be taken from other files. */
  resumed: number;
  reused: number;
  /** With `--sync`: paths of files that would be removed, absolute. */
  removed: string[];
  hfCache: HubCacheReport | null;
}

/** A file of a pull with `--dry-run`. */
export interface PlannedFile {
  name: string;
  /** Absolute. */
  path: string;
  size: number;
  outcome: "to-fetch" | "cached" | "kept";
}

/** A file that was pulled. Sizes in bytes. */
export interface PulledFile {
  name: string;
  /** Absolute. */
  path: string;
  size: number;
  outcome: "fetched" | "cached" | "kept";
  /** How it came from the cache in this run; null where it did not. */
  link: "reflink" | "hardlink" | "copy" | null;
}

/** A model in the cache of a hub's clients. */
export interface HubCacheReport {
  /** `ORG/MODEL`. */
  id: string;
  commit: string;
  /** The names that the commit has there. */
  revisions: string[];
  /** The directory with the files by their names, absolute. */
  snapshot: string;
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
