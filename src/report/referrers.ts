import type { ErrorCode } from "../errors.ts";
import type { Digest } from "../oci/digest.ts";

/** What `referrers` found; with `--json` its shape is part of the surface (docs/json.md). Sizes in bytes. */
export interface ReferrerListing {
  name: string;
  digest: Digest;
  /** What refers to the manifest itself. */
  referrers: ReferrerReport[];
  /** Manifests below it that something refers to. */
  children: { digest: Digest; referrers: ReferrerReport[] }[];
}

/** An artifact that refers to a manifest. */
export interface ReferrerReport {
  digest: Digest;
  kind: ReferrerKind | null;
  artifactType: string | null;
  /** The manifest and its blobs together; null where it can't be read. */
  size: number | null;
  /** The tag that it was found by, where it has no `subject`. */
  tag: string | null;
  /** Names of its files. */
  titles: string[];
  /** Why it can't be read; null where all is well. */
  error: { code: ErrorCode; message: string } | null;
  /** What refers to it in turn. */
  referrers: ReferrerReport[];
}

/** What something that refers to a manifest is for. */
export type ReferrerKind = "signature" | "attestation" | "sbom" | "other";
