import type { ReportedWeight } from "./weights.ts";

/** What `lock` did; also the shape of `lock --json`. Sizes in bytes. */
export interface LockReport {
  /** The lock's path as it was given. */
  lock: string;
  /** Whether the lock was written, or would be; one that is right already is left alone. */
  changed: boolean;
  dryRun: boolean;
  files: ReportedWeight[];
  /** Of the files as they are. */
  size: number;
  /** Of the blobs, each counted once. */
  storedSize: number;
  /** How many files were read, and how many were known to be unchanged. */
  read: number;
  unchanged: number;
  /** Names that the lock had before, and no file has now. */
  removed: string[];
  /** Paths of files and directories that were left out: hidden, or excluded by patterns. */
  leftOut: string[];
}

/** How weight files differ from their lock. Names, each list sorted. */
export interface LockDrift {
  /**
   * What of the entry differs; `blob`: the file is the same, and does not give the blob that is to be stored;
   * `parts`: the file is the same, and consists of other parts than the lock says;
   * `version`: a remote file is in another state than the one that was locked, and was not read.
   */
  changed: { name: string; what: Difference[] }[];
  /** In the lock, and not among the files. */
  missing: string[];
  /** Among the files, and not in the lock. */
  added: string[];
}

/** In what a file differs from its entry in the lock. */
export type Difference = "digest" | "size" | "version" | "dest" | "blob" | "parts";

/** What `mock-weights` made; also the shape of its `--json`. Sizes in bytes. */
export interface MockReport {
  lock: string;
  directory: string;
  files: ReportedWeight[];
  /** Of the files as they are. */
  size: number;
}
