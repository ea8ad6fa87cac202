import { formatPlatform, isKnownPlatform } from "../../oci/platform.ts";
import { pinned, type Reference } from "../../oci/reference.ts";
import type { ContentGraph } from "./content-graph.ts";
import type { ModelImage } from "./image-part.ts";
import type { Published } from "./publish.ts";
import { summarize } from "./summary.ts";
import type { PublishAction, PublishReport } from "../../report/publish.ts";

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
  const { sent, resumed, mounted, present, tags, outcomes } = published;
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
    tags,
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
