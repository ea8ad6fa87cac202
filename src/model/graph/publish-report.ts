import type { BlobOutcome } from "../../oci/content.ts";
import type { Digest } from "../../oci/digest.ts";
import { formatPlatform, isKnownPlatform } from "../../oci/platform.ts";
import type { ContentGraph } from "./content-graph.ts";
import type { ModelImage } from "./image-part.ts";
import type { Amount, Published } from "./publish.ts";
import { type ModelSummary, summarize } from "./summary.ts";

/** What `push`, `build` and `copy` answer; with `--json` its shape is part of the surface (docs/json.md). */
export interface PublishReport {
  /** `pushed`, `built`, `copied`, or what would be: `would push`. */
  action: string;
  /** What it went to: `sent` then means written. */
  target: "registry" | "layout";
  model: { name: string } & ModelSummary;
  sent: Amount;
  mounted: Amount;
  present: Amount;
  milliseconds: number;
  /** How many further artifacts were copied because they refer to the model. */
  referrers: number;
  /** With a dry run: every blob, and whether it is there. */
  plan?: { label: string; digest: Digest; size: number; outcome: BlobOutcome }[];
}

/** Puts together what was published and what it took. */
export function publishReport(done: {
  name: string;
  action: string;
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
    referrers = 0,
  } = done;
  const { sent, mounted, present, outcomes } = published;
  const plan = model.blobs.flatMap(({ label, descriptor: { digest, size } }) => {
    const outcome = outcomes.get(digest);
    return outcome === undefined ? [] : [{ label, digest, size, outcome }];
  });
  return {
    action,
    target,
    model: { name, ...summarize(model.root, model.children, name, { platform }) },
    sent,
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
