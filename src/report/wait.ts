/** What `wait` found; with `--json` its shape is part of the surface (docs/json.md). */
export interface WaitReport {
  /** Absolute. */
  dir: string;
  /** What the marker says: the digest of the weights. */
  digest: string;
}
