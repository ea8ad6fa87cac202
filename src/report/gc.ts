/** A directory that was pulled into. */
export interface PulledDirectory {
  /** Absolute. */
  dir: string;
  /** Of the files that were placed there, in bytes; each inode once. */
  size: number;
  /** The last pull. */
  lastUsed: Date;
  /** The repositories or layouts that it came from. */
  sources: string[];
}

/** What `cache gc` did; with `--json` its shape is part of the surface (docs/cache.md). */
export interface GcReport {
  /** The cache that knows the directories. */
  path: string;
  dryRun: boolean;
  removed: PulledDirectory[];
  /** Those that stay, and why. */
  kept: (PulledDirectory & { reason: GcReason; detail: string | null })[];
  /** Records of directories that are gone. */
  forgotten: number;
  /** In bytes: what no other name keeps. Blobs of the cache go with `cache prune`. */
  freed: number;
}

/**
 * - `recent`: used within the limits
 * - `in-use`: held, pulled into or open
 * - `foreign`: has files that were not pulled, or were changed
 * - `unreadable`: can't be looked at, or locked
 */
export type GcReason = "recent" | "in-use" | "foreign" | "unreadable";
