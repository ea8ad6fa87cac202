import { formatPlatform, isKnownPlatform } from "../../oci/platform.ts";
import { pinned, type Reference } from "../../oci/reference.ts";
import type { ContentGraph } from "./content-graph.ts";
import type { ModelImage } from "./image-part.ts";
import type { Published } from "./publish.ts";
import { graphReader } from "./graph-reader.ts";
import { summarize } from "./summary.ts";
import { readForeign } from "./weights-contents.ts";
import type { Session } from "../session/session.ts";
import type { PublishAction, PublishReport } from "../../report/publish.ts";

/**
 * Puts together what was published and what it took. Weights are described in whatever format they are, as
 * `inspect` does; what of that can't be read any more is warned of: it is published all the same.
 */
export async function publishReport(done: {
  session: Pick<Session, "signal" | "emit">;
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
}): Promise<PublishReport> {
  const {
    session: { signal, emit },
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
  const warn = (message: string): void =>
    emit({ type: "warning", message: `files not listed: ${message}` });
  const foreign = await readForeign(graphReader(model, name), model, signal, (error) =>
    warn(error.message),
  ).catch((error: unknown) => {
    warn(error instanceof Error ? error.message : String(error));
    return undefined;
  });
  return {
    action,
    reference: reference === undefined ? null : pinned(reference, model.root.digest),
    target,
    tags,
    model: {
      name,
      ...summarize(model.root, model.children, name, { platform, foreign, blobs: model.blobs }),
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
