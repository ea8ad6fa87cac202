import type { Digest } from "../oci/digest.ts";

/** What `prune` did; with `--json` its shape is part of the surface (docs/json.md). Sizes in bytes. */
export interface RepositoryPruning {
  name: string;
  dryRun: boolean;
  tags: PrunedTag[];
  /** Manifests without a tag of their own that went as well: children and referrers of what was deleted. */
  manifests: { digest: Digest; outcome: "deleted" | "would-delete" | "kept" }[];
  /** What nothing in the repository names any more; the registry frees it when it collects garbage. */
  freed: number;
  milliseconds: number;
}

/** What became of a tag. */
export interface PrunedTag {
  tag: string;
  digest: Digest;
  created: string | null;
  outcome: "deleted" | "would-delete" | "kept";
  /** Why it was kept, else null. */
  reason: KeepReason | "moved" | "needed" | "unsupported" | null;
}

/** Why a tag stays. */
export type KeepReason = "no-match" | "newest" | "young" | "undated";
