import type { ReportedWeight } from "./weights.ts";
import type { Amount } from "./amount.ts";

/** How two models differ; with `--json` its shape is part of the surface (docs/json.md). Sizes in bytes. */
export interface ModelDiff {
  a: string;
  b: string;
  weights: {
    added: ReportedWeight[];
    removed: ReportedWeight[];
    /** Same name, other bytes. */
    changed: { before: ReportedWeight; after: ReportedWeight }[];
    /** Same bytes, other name or dest. */
    moved: { before: ReportedWeight; after: ReportedWeight }[];
    shared: ReportedWeight[];
  };
  /** Layers and configs of the images; null when one side is a lock, which has none. */
  image: Changes | null;
  /** Blobs of what is neither image nor weights: attestations, other artifacts. Null as `image`. */
  other: Changes | null;
  /** What a node that has A must fetch to have B: every file's bytes once, as they are stored. */
  fetch: { weights: Amount; image: Amount };
  /** Where files of B are stored in parts: those of all of them, and those that a node with A lacks. Else null. */
  parts: PartsDiff | null;
}

/** Parts, each counted once. Bytes are those of the blobs that store them. */
export interface PartsDiff {
  total: Amount;
  missing: Amount;
}

export interface Changes {
  shared: Amount;
  added: Amount;
  removed: Amount;
}
