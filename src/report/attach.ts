import type { Digest } from "../oci/digest.ts";

/** What `attach` did; with `--json` its shape is part of the surface (docs/json.md). */
export interface Attached {
  /** The artifact by its digest. */
  reference: string;
  digest: Digest;
  artifactType: string;
  subject: Digest;
  file: { title: string; digest: Digest; size: number };
}
