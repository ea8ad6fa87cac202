import type { Digest } from "../oci/digest.ts";

/** What `rm` is about to delete, or deleted; with `--json` its shape is part of the surface (docs/json.md). */
export interface Removal {
  action: "deleted" | "would-delete";
  /** `tag`: the tag alone. `manifest`: the manifest with all its tags. */
  what: "tag" | "manifest";
  name: string;
  /** The tag that goes; null where a manifest is named by its digest. */
  tag: string | null;
  digest: Digest;
  /** Other tags of the same manifest: they stay with `tag`, and go with `manifest`. */
  otherTags: string[];
  /** Tags whose index lists the manifest. */
  neededBy: string[];
  /** Signatures and whatever else refers to the manifest; they stay. */
  referrers: number;
}
