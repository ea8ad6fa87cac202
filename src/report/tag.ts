import type { Digest } from "../oci/digest.ts";

/** What `tag` did; with `--json` its shape is part of the surface (docs/json.md). */
export interface TagResult {
  action: "tagged" | "would-tag";
  /** The manifest by its digest. */
  reference: string;
  digest: Digest;
  mediaType: string;
  tags: { tag: string; outcome: "created" | "moved" | "unchanged"; before: Digest | null }[];
}
