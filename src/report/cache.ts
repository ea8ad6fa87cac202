import type { CachedBlob, UnfinishedBlob } from "../store/cache/list.ts";
import type { PruneReport } from "../store/cache/prune.ts";
import type { DamagedBlob } from "../store/cache/verify.ts";

/** What `cache ls` lists. Sizes in bytes. */
export interface CacheContents {
  path: string;
  /** Of blobs and unfinished ones together. */
  size: number;
  /** The last used first. */
  blobs: CachedBlob[];
  unfinished: UnfinishedBlob[];
}

/** What `cache verify` found. Sizes in bytes. */
export interface CacheVerification {
  path: string;
  /** How many blobs were read. */
  blobs: number;
  size: number;
  damaged: DamagedBlob[];
}

/** What `cache prune` removed, or would. */
export interface CachePruning extends PruneReport {
  path: string;
  dryRun: boolean;
}
