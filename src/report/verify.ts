/** What `verify` found; with `--json` its shape is part of the surface (docs/json.md). */
export interface VerifyReport {
  name: string;
  /** The directory that was read, or null. */
  dir: string | null;
  quick: boolean;
  /** `bytes` are those that were read: none of what is missing. */
  checked: { items: number; bytes: number };
  problems: Problem[];
}

/** Something that is not as it should be. */
export interface Problem {
  /** The path of a file, or what a blob is called. */
  item: string;
  kind: "differs" | "missing" | "extra" | "unreadable" | "uncompared";
  detail: string;
}
