import type { BlobOutcome } from "../oci/content.ts";

/**
 * What a run tells about itself while it works. The engine emits, `ui/` draws; with
 * `--progress json` each is one line on stderr, so the shapes are part of the surface (docs/progress.md).
 * Sizes are in bytes. `item` names one thing that moves and is unique within a run.
 */
export type TransferEvent =
  /** A phase began: `hash`, `export`, `compress`, `check`, `upload`, `download`, `write`, `verify`. */
  | { type: "phase"; phase: Phase; items?: number; bytes?: number }
  /**
   * What a target has of the weight files that it is to have, before the next of them is sent; `moved` is what of
   * `present` this run has sent or mounted before, as where it sends parts while it reads them.
   */
  | {
      type: "plan";
      all: FileAmount;
      present: FileAmount;
      moved: FileAmount;
      missing: FileAmount;
    }
  /**
   * Work on an item began. `group` is what a bar's first column says: `weights`, `image`; `file`
   * is the file's name, which is shown in place of the item's where there is one.
   */
  | { type: "start"; phase: Phase; item: string; group: string; bytes: number; file?: string }
  /**
   * Further bytes of an item are done; negative when some must be done again. `resumed` where an earlier
   * run did them: they count as done, and not as moved; `reused`, too, where they were taken from other files.
   */
  | {
      type: "progress";
      phase: Phase;
      item: string;
      bytes: number;
      resumed?: true;
      reused?: true;
    }
  /**
   * An item is done. For transfers `outcome` says how; of what was verified, that it is not right. An item that had
   * no `start`, since nothing had to be moved, has its `group`, `bytes` and `file` here.
   */
  | {
      type: "done";
      phase: Phase;
      item: string;
      outcome?: BlobOutcome | "cached" | "kept" | "failed";
      group?: string;
      bytes?: number;
      file?: string;
    }
  /** Waiting before another try, `milliseconds` long, because of `reason`. */
  | { type: "wait"; item?: string; milliseconds: number; reason: string }
  /** Something a person should know that is no failure. */
  | { type: "warning"; message: string }
  /** Something that a run did beside what it was asked for: a file that it wrote. */
  | { type: "note"; message: string }
  /** A detail for `--verbose`: why a way of uploading was chosen, a request, a fallback. */
  | { type: "detail"; message: string };

/** Sizes in bytes, as the files are stored. */
export interface FileAmount {
  /** Blobs: a file each, or its parts, or an archive of some. */
  files: number;
  bytes: number;
}

/** What is done to an item. Progress sums the bytes of each phase. */
export type Phase =
  | "hash"
  | "export"
  | "compress"
  | "check"
  | "upload"
  | "download"
  | "write"
  | "verify";

/** Gets the events of a run, in order. Must not throw. */
export type EmitEvent = (event: TransferEvent) => void;
