import { OcibundleError, withContext } from "../errors.ts";
import type { ContentReader } from "../oci/content.ts";
import type { Digest } from "../oci/digest.ts";
import { parseDocument } from "../oci/document.ts";
import { ImageIndexSchema } from "../oci/manifest.ts";
import { isIndexType } from "../oci/media-types.ts";
import { parsePlatform, type Platform } from "../oci/platform.ts";
import { assembleBundle, assembleStandalone, weightsPartOf } from "./assemble.ts";
import { type ContentGraph, readChild, readGraph } from "./content-graph.ts";
import { type Destination, openDestination } from "./destination.ts";
import { loadSource } from "./load-model.ts";
import { readModelImage } from "./model-image.ts";
import { findWeights } from "./model-index.ts";
import { withMountFrom } from "./prepare.ts";
import { publish, type Published } from "./publish.ts";
import { type PublishReport, publishReport } from "./report.ts";
import { type JobContext, openSession, type Session } from "./session.ts";
import { sourceRepository } from "./source.ts";

export interface CopyRequest {
  source: string;
  target: string;
  /** Only the image of this platform, with the weights; everything when undefined. */
  platform: string | undefined;
  /** Also what refers to what is copied: signatures, SBOMs. */
  referrers: boolean;
  dryRun: boolean;
}

/** Copies a whole model between registries, layouts and archives. Manifests keep their bytes. */
export async function copyModel(job: JobContext, request: CopyRequest): Promise<PublishReport> {
  const started = performance.now();
  const session = openSession(job);
  const platform = request.platform === undefined ? undefined : parsePlatform(request.platform);
  try {
    const loaded = await loadSource(session, request.source);
    if (loaded.kind === "lock") {
      throw new OcibundleError("usage", `"${request.source}" is a lock, which holds no bytes`, {
        hint: "copy from a reference, oci:DIR[:TAG] or oci-archive:FILE[:TAG]",
      });
    }
    await using source = loaded;
    await using target = await openDestination(session, request.target);
    const graph =
      platform === undefined
        ? source.graph
        : await narrowed(source.reader, source.graph, platform, session.signal);
    const move = (part: ContentGraph, tag: string | undefined) =>
      publishTo(session, request, target, part, tag);
    const published = await move(graph, target.tag);
    const more = request.referrers
      ? await copyReferrers(source.reader, graph, session.signal, move)
      : [];
    if (!request.dryRun) await target.commit();
    return publishReport({
      name: target.name,
      action: request.dryRun ? "would copy" : "copied",
      model: graph,
      published: [published, ...more].reduce(added),
      milliseconds: performance.now() - started,
      dryRun: request.dryRun,
    });
  } catch (error) {
    throw withContext(`copy ${request.source} to ${request.target}`, error);
  }
}

function publishTo(
  session: Session,
  { source, dryRun }: CopyRequest,
  { writer, reference }: Destination,
  graph: ContentGraph,
  tag: string | undefined,
): Promise<Published> {
  const from = sourceRepository(session, source);
  const mountable =
    from !== undefined &&
    from.registry.host === reference?.host &&
    from.name !== reference.repository
      ? [from.name]
      : [];
  const blobs = withMountFrom(graph.blobs, () => mountable);
  return publish({ ...graph, blobs }, writer, {
    ...session,
    concurrency: session.flags.concurrency,
    tag,
    dryRun,
  });
}

/** The part of a model that one platform needs. Its index is a new one; the manifests below keep their bytes. */
async function narrowed(
  reader: ContentReader,
  { root }: ContentGraph,
  platform: Platform,
  signal: AbortSignal,
): Promise<ContentGraph> {
  const image = await readModelImage(reader, root, platform, signal);
  if (!isIndexType(root.mediaType)) return assembleStandalone(reader, image, signal);
  const index = parseDocument(root.bytes, ImageIndexSchema, reader.name);
  const entry = findWeights(index, reader.name);
  if (entry === undefined) return assembleStandalone(reader, image, signal);
  const weights = await readChild(reader, entry, signal);
  return assembleBundle(reader, image, weightsPartOf(reader, weights), signal);
}

/** Copies what refers to a graph's manifests, and what refers to that in turn. */
async function copyReferrers(
  reader: ContentReader,
  graph: ContentGraph,
  signal: AbortSignal,
  move: (graph: ContentGraph, tag: string | undefined) => Promise<Published>,
): Promise<Published[]> {
  const published: Published[] = [];
  const seen = new Set<Digest>();
  const subjects = [...graph.children, graph.root].map(({ digest }) => digest);
  for (let subject = subjects.shift(); subject !== undefined; subject = subjects.shift()) {
    for (const entry of (await reader.listReferrers?.(subject, signal)) ?? []) {
      if (seen.has(entry.digest)) continue;
      seen.add(entry.digest);
      const referrer = await readGraph(reader, await readChild(reader, entry, signal), signal);
      published.push(await move(referrer, undefined));
      subjects.push(entry.digest);
    }
  }
  return published;
}

function added(a: Published, b: Published): Published {
  const sum = (kind: "sent" | "mounted" | "present") => ({
    blobs: a[kind].blobs + b[kind].blobs,
    bytes: a[kind].bytes + b[kind].bytes,
  });
  return {
    sent: sum("sent"),
    mounted: sum("mounted"),
    present: sum("present"),
    outcomes: new Map([...a.outcomes, ...b.outcomes]),
  };
}
