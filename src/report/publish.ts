import type { Digest } from "../oci/digest.ts";
import type { BlobKind, BlobOutcome } from "../oci/content.ts";
import type { Amount } from "./amount.ts";
import type { ModelSummary } from "./model.ts";

/** What was done with the model, or would be with `--dry-run`. */
export type PublishAction = "pushed" | "built" | "copied" | "would-push" | "would-copy";

/** What `push`, `build` and `copy` answer; with `--json` its shape is part of the surface (docs/json.md). */
export interface PublishReport {
  /** What was done, or what would be. */
  action: PublishAction;
  /** Names the model by its digest for good: `registry.example.com/acme/llama@sha256:…`; null in a layout. */
  reference: string | null;
  /** What it went to: `sent` then means written. */
  target: "registry" | "layout";
  /** The tags that were set, or would be. */
  tags: string[];
  model: { name: string } & ModelSummary;
  sent: Amount;
  /** Of the blobs sent, what an earlier run had sent: not a part of the bytes of `sent`. */
  resumed: Amount;
  mounted: Amount;
  present: Amount;
  milliseconds: number;
  /** How many further artifacts were copied because they refer to the model. */
  referrers: number;
  /** With a dry run: every blob, and whether it is there. */
  plan?: PlannedBlob[];
}

/** A blob of a dry run. */
export interface PlannedBlob {
  kind: BlobKind;
  /** Of a weight; null for others. */
  name: string | null;
  digest: Digest;
  mediaType: string;
  /** In bytes. */
  size: number;
  outcome: BlobOutcome;
}
