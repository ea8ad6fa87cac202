import type { Digest } from "../oci/digest.ts";
import type { ReportedWeight } from "./weights.ts";

/** What a model consists of; also the shape of `inspect --json` (docs/json.md). Sizes in bytes. */
export interface ModelSummary {
  /** `bundle`: an index with weights. `index`, `image`, `weights`: that alone. `artifact`: something else. */
  type: "bundle" | "index" | "image" | "weights" | "artifact";
  mediaType: string;
  artifactType: string | null;
  digest: Digest;
  /** Of the manifest or index itself. */
  size: number;
  annotations: Record<string, string>;
  images: ImageSummary[];
  weights: WeightsSummary | null;
  /** Where an index has several weights artifacts: those after the first. */
  moreWeights: WeightsSummary[];
  /** Entries that are neither: attestations, other artifacts. */
  others: OtherSummary[];
  /** Of an artifact of another kind: what it holds. */
  content: {
    /** The media type of its config. */
    config: string | null;
    layers: { digest: Digest; size: number; mediaType: string; title: string | null }[];
  } | null;
}

/** A manifest that is neither image nor weights. */
export interface OtherSummary {
  digest: Digest;
  mediaType: string;
  artifactType: string | null;
  /** `vnd.docker.reference.type`: `attestation-manifest` of what builders attest. */
  referenceType: string | null;
  platform: string | null;
  size: number;
  /** Whether the index lists it and it is not there. */
  missing: boolean;
}

/** The image of one platform. */
export interface ImageSummary {
  /** `linux/amd64`, or null where nothing says it. */
  platform: string | null;
  digest: Digest;
  /** Config and layers together. */
  size: number;
  layers: { digest: Digest; size: number; mediaType: string }[];
}

/** Weights in one format. */
export interface WeightsSummary {
  digest: Digest;
  /** What they are stored as, in one word: `bundle`, `cog`, `modelpack` (docs/artifacts.md). */
  format: string;
  /** The stored blobs together, each once. */
  size: number;
  /** Of its manifest. */
  annotations: Record<string, string>;
  files: ReportedWeight[];
  /**
   * Where the files are stored in parts: how many, and their bytes as they are and as they are stored; and how many are
   * stored in which form. Else null.
   */
  parts: {
    count: number;
    size: number;
    stored: number;
    encodings: Readonly<Record<string, number>>;
  } | null;
  /** Archives whose files are only known once they are unpacked. */
  unlisted: { digest: Digest; size: number; mediaType: string }[];
}

/** What `inspect` found; with `--json` its shape is part of the surface (docs/json.md). */
export type Inspected =
  | ({ name: string } & ModelSummary)
  | {
      name: string;
      type: "lock";
      created: string;
      files: ReportedWeight[];
      /** As `WeightsSummary` has it, for a lock that has parts. */
      parts: WeightsSummary["parts"];
    };
