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
  /** What became of tensors, where that was asked for and both sides are models; else null. */
  tensors: TensorsDiff | null;
}

/** Tensors of two models, by their names. */
export interface TensorsDiff {
  added: ComparedTensor[];
  removed: ComparedTensor[];
  /** By `type`: another type or shape; else the same, and other bytes. */
  changed: { before: ComparedTensor; after: ComparedTensor; by: "type" | "bytes" }[];
  /** Those of which it is known that type, shape and bytes are the same. */
  same: { tensors: number; bytes: number };
  /** Those of B that have the same type and shape, and of whose bytes nothing is known. */
  uncompared: ComparedTensor[];
  /** Files that no tensors were read of, and that the other side does not have. */
  unread: { a: UnreadFile[]; b: UnreadFile[] };
}

/** One tensor of two models. */
export interface ComparedTensor {
  /** The name of its file. */
  file: string;
  name: string;
  /** As the format calls it, such as `BF16`; null where it is not known. */
  dtype: string | null;
  shape: readonly number[] | null;
  /** As it lies in the file, with the padding behind it. */
  bytes: number;
}

/** A file whose tensors are not known. */
export interface UnreadFile {
  name: string;
  dest: string;
}

/** Parts, each counted once. Bytes are those of the blobs that store them. */
export interface PartsDiff {
  total: Amount;
  missing: Amount;
}

/** What the second model has of the first, and what not. */
export interface Changes {
  shared: Amount;
  added: Amount;
  removed: Amount;
}
