import { OcibundleError, withContext } from "../../errors.ts";
import type { BlobToMove, ContentReader } from "../../oci/content.ts";
import type { Digest } from "../../oci/digest.ts";
import { parseDocument } from "../../oci/document.ts";
import { ImageIndexSchema } from "../../oci/manifest.ts";
import { isIndexType } from "../../oci/media-types.ts";
import { formatPlatform, parsePlatform, type Platform } from "../../oci/platform.ts";
import { formatRepository } from "../../oci/reference.ts";
import { assembleBundle, assembleStandalone, weightsPartOf } from "../graph/assemble.ts";
import { type ContentGraph, readChild } from "../graph/content-graph.ts";
import { type Destination, openDestination, parseDestination } from "../places/destination.ts";
import { keepChildren } from "../graph/keep-children.ts";
import { loadSource } from "../places/load-model.ts";
import { holdsNoBytes } from "../places/lock-source.ts";
import { readModelImage } from "../graph/image-part.ts";
import { checkAttachmentTag, referrersOf } from "../graph/referrers.ts";
import { findWeights } from "../format/model-index.ts";
import { openMountSources } from "../places/mount-sources.ts";
import { publish, type Published } from "../graph/publish.ts";
import { type PublishReport, publishReport } from "../graph/publish-report.ts";
import { type JobContext, openSession, type Session } from "../session/session.ts";
import { sourceRepository } from "../places/source.ts";

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
    const destination = parseDestination(request.target);
    const loaded = await loadSource(session, request.source);
    if (loaded.kind === "lock") {
      throw holdsNoBytes(request.source);
    }
    await using source = loaded;
    const graph =
      platform === undefined
        ? source.graph
        : await narrowed(source.reader, source.graph, platform, session.signal);
    await using target = await openDestination(session, destination, request.target, graph);
    const copier = await openCopier(session, request, target);
    const tag = tagFor(target, source.tag, graph.root.digest);
    const published = await copier.move(graph, request.referrers ? undefined : tag);
    let referrers = 0;
    if (request.referrers) {
      for await (const referrer of referrersOf(source.reader, graph, session)) {
        if (referrer.tag !== undefined) {
          const { root } = referrer.graph;
          await checkAttachmentTag(target.writer, referrer.tag, root, session.signal);
        }
        add(published, await copier.move(referrer.graph, referrer.tag));
        referrers += 1;
      }
      // The tag shows the model when all that refers to it is there as well.
      await copier.tag(graph, tag);
    }
    await copier.finish();
    return publishReport({
      name: target.name,
      action: request.dryRun ? "would copy" : "copied",
      model: graph,
      published,
      referrers,
      milliseconds: performance.now() - started,
      platform:
        platform === undefined
          ? (source.summary.images[0]?.platform ?? null)
          : formatPlatform(platform),
      target: target.reference === undefined ? "layout" : "registry",
      dryRun: request.dryRun,
    });
  } catch (error) {
    throw withContext(`copy ${request.source} to ${request.target}`, error);
  }
}

/** The tag at the target: a layout takes the source's where it is given none. Throws `usage`. */
function tagFor(
  { name, tag, reference }: Destination,
  sourceTag: string | undefined,
  digest: Digest,
): string | undefined {
  if (reference === undefined) return tag ?? sourceTag;
  if (reference.digest === undefined || reference.digest === digest) return tag;
  throw new OcibundleError("usage", `"${name}" names another digest than ${digest}`, {
    hint: `leave the digest out, as ${formatRepository(reference)}:v1`,
  });
}

interface Copier {
  move(graph: ContentGraph, tag: string | undefined): Promise<Published>;
  tag(graph: ContentGraph, tag: string | undefined): Promise<void>;
  /** Makes what was moved final, and remembers it. */
  finish(): Promise<void>;
}

async function openCopier(
  session: Session,
  { source, dryRun }: CopyRequest,
  { writer, reference, commit }: Destination,
): Promise<Copier> {
  const from = sourceRepository(session, source);
  const also = from !== undefined && from.registry.host === reference?.host ? [from.name] : [];
  const mounts =
    reference === undefined ? undefined : await openMountSources(session, reference, also);
  const moved: BlobToMove[] = [];
  return {
    move(graph, tag) {
      const blobs = mounts?.offer(graph.blobs) ?? graph.blobs;
      moved.push(...blobs);
      return publish({ ...graph, blobs }, writer, {
        ...session,
        concurrency: session.flags.concurrency,
        phase: reference === undefined ? "write" : "upload",
        tag,
        dryRun,
      });
    },
    async tag({ root, children }, tag) {
      if (dryRun || tag === undefined) return;
      await writer.writeManifest(root, tag, session.signal);
      await keepChildren(children, writer, session);
    },
    async finish() {
      if (dryRun) return;
      await commit();
      await mounts?.keep(moved);
    },
  };
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

function add(sum: Published, more: Published): void {
  for (const kind of ["sent", "mounted", "present"] as const) {
    sum[kind].blobs += more[kind].blobs;
    sum[kind].bytes += more[kind].bytes;
  }
  for (const [digest, outcome] of more.outcomes) sum.outcomes.set(digest, outcome);
}
