import type { BlobKind, BlobOutcome } from "../../oci/content.ts";
import type { Digest } from "../../oci/digest.ts";
import { formatPlatform, isKnownPlatform } from "../../oci/platform.ts";
import { pinned, type Reference } from "../../oci/reference.ts";
import type { ContentGraph } from "./content-graph.ts";
import type { ModelImage } from "./image-part.ts";
import type { Amount, Published } from "./publish.ts";
import { type ModelSummary, summarize } from "./summary.ts";

export type PublishAction = "pushed" | "built" | "copied" | "would-push" | "would-copy";

/** What `push`, `build` and `copy` answer; with `--json` its shape is part of the surface (docs/json.md). */
export interface PublishReport {
  /** What was done, or what would be. */
  action: PublishAction;
  /** Names the model by its digest for good: `registry.example.com/acme/llama@sha256:…`; null in a layout. */
  reference: string | null;
  /** What it went to: `sent` then means written. */
  target: "registry" | "layout";
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

/** Puts together what was published and what it took. */
export function publishReport(done: {
  name: string;
  action: PublishAction;
  /** Of the registry it went to; undefined for a layout. */
  reference?: Reference | undefined;
  model: ContentGraph;
  published: Published;
  milliseconds: number;
  dryRun: boolean;
  referrers?: number;
  target: PublishReport["target"];
  /** Of an image that stands alone. */
  platform: string | null;
}): PublishReport {
  const {
    name,
    action,
    model,
    published,
    milliseconds,
    dryRun,
    target,
    platform,
    reference,
    referrers = 0,
  } = done;
  const { sent, resumed, mounted, present, outcomes } = published;
  const plan = model.blobs.flatMap(({ kind = "layer", name: own, descriptor }) => {
    const { digest, mediaType, size } = descriptor;
    const outcome = outcomes.get(digest);
    if (outcome === undefined) return [];
    const weight = kind === "weight" ? (own ?? null) : null;
    return [{ kind, name: weight, digest, mediaType, size, outcome }];
  });
  return {
    action,
    reference: reference === undefined ? null : pinned(reference, model.root.digest),
    target,
    model: {
      name,
      ...summarize(model.root, model.children, name, { platform, blobs: model.blobs }),
    },
    sent,
    resumed,
    mounted,
    present,
    milliseconds: Math.round(milliseconds),
    referrers,
    ...(dryRun ? { plan } : {}),
  };
}

/** The platform of the one image that there is, for a report. */
export function onlyPlatform(image: ModelImage | undefined): string | null {
  const [only, ...more] = image?.images ?? [];
  if (only === undefined || more.length > 0 || !isKnownPlatform(only.platform)) return null;
  return formatPlatform(only.platform);
}
