import { OcibundleError, withContext, amended } from "../../errors.ts";
import type { BlobToMove, ContentReader } from "../../oci/content.ts";
import type { Digest } from "../../oci/digest.ts";
import { parseIndexEntries } from "../../oci/index-entries.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { isIndexType } from "../../oci/media-types.ts";
import { formatPlatform, parsePlatform, type Platform } from "../../oci/platform.ts";
import { machinePlatform } from "../session/machine-platform.ts";
import { formatRepository } from "../../oci/reference.ts";
import {
  assembleBundle,
  assembleStandalone,
  type WeightsPart,
  weightsPartOf,
} from "../graph/assemble.ts";
import { type ContentGraph, readGraph } from "../graph/content-graph.ts";
import { readChild } from "../graph/read-child.ts";
import { type OpenTarget, openTarget, parseTarget } from "../places/target.ts";
import { hasOnlyWeights } from "../graph/find-weights.ts";
import { keepChildren } from "../graph/keep-children.ts";
import { platformOfRoot } from "../places/load-model.ts";
import { leftOutWarning, readModelImage } from "../graph/image-part.ts";
import { parseLayout } from "../format/layout-name.ts";
import { isLaterWeights, weightsEntries } from "../format/model-index.ts";
import { partsOnly } from "../layout/layouts.ts";
import { checkAttachmentTag, referrersOf } from "../graph/referrers.ts";
import { type MountSources, openMountSources } from "../places/mount-sources.ts";
import type { PartsCompression } from "../weights/store-parts.ts";
import { type Converted, converted } from "./convert.ts";
import { firstGiven } from "./first-given.ts";
import { partTarget } from "./part-target.ts";
import { publish, type Published } from "../graph/publish.ts";
import { publishReport } from "../graph/publish-report.ts";
import { summarize } from "../graph/summary.ts";
import { type JobContext, openSession, type Session } from "../session/session.ts";
import { modelPlace } from "../places/place.ts";
import { openSigned } from "../trust/open-signed.ts";
import type { Repository } from "../../registry/types.ts";
import type { PublishReport } from "../../report/publish.ts";

/** What `copy` is asked for. */
export interface CopyRequest {
  /** A reference, layout or archive. */
  source: string;
  /** A reference, layout or archive. */
  target: string;
  /** Only the image of this platform, with the weights; everything when undefined. */
  platform: string | undefined;
  /** What the weights are written as at the target; as they are when undefined. */
  layout?: string | undefined;
  /** The directory of an image whose files become the weights. */
  path?: string | undefined;
  /** The directory of the files in the layout `image`. */
  root?: string | undefined;
  /** The most layers of weights in parts. */
  mostParts?: number | undefined;
  /** How parts are stored; as they are when undefined. */
  compression?: PartsCompression | undefined;
  /** Also what refers to what is copied: signatures, SBOMs. */
  referrers: boolean;
  dryRun: boolean;
  /** Ask for every blob, also where the target has a manifest that names it. */
  checkBlobs?: boolean | undefined;
}

/**
 * Copies a whole model between registries, layouts and archives. Manifests keep their bytes unless another layout is
 * written. Throws `usage` for flags that do not fit together, and what source and target throw.
 */
export async function copyModel(job: JobContext, request: CopyRequest): Promise<PublishReport> {
  const started = performance.now();
  const session = openSession(job);
  const platform =
    request.platform === undefined ? undefined : parsePlatform(request.platform, machinePlatform());
  try {
    const needed = request.path === undefined ? request.root && "--root" : "--path";
    if (needed !== undefined && request.layout === undefined) {
      throw new OcibundleError("usage", `${needed} needs --layout`, {
        hint: "specify the layout to write, such as --layout modelpack",
      });
    }
    const isInParts = request.layout !== undefined && parseLayout(request.layout) === "parts";
    const ofParts = firstGiven({
      "--most-parts": request.mostParts,
      "--compression": request.compression,
    });
    if (ofParts !== undefined && !isInParts) throw partsOnly(ofParts);
    const destination = parseTarget(request.target, "copy");
    const place = await modelPlace(session, request.source);
    const source = await openSigned(session, place);
    await using stack = new AsyncDisposableStack();
    stack.defer(source.close);
    const { reader, root } = source;
    const sent = new Map<Digest, number>();
    // Opened before all is known that is to be written, where parts are sent when they are encoded.
    let opened: Promise<OpenTarget> | undefined;
    const openEarly = (): Promise<OpenTarget> =>
      (opened ??= openTarget(session, destination).then((early) => stack.use(early)));
    const mounts = await openMounts(session, place.repository, destination);
    const parts = partTarget(async () => (await openEarly()).writer, {
      dryRun: request.dryRun,
      sent,
      ...(mounts === undefined ? {} : { offer: mounts.offer }),
    });
    const graph: Converted =
      request.layout !== undefined
        ? await converted(session, request, source, { destination, stack, parts })
        : platform === undefined
          ? await wholeGraph(reader, root, session.signal)
          : await narrowed(session, reader, root, platform);
    // A fault in what it says of itself is found before anything is written.
    summarize(graph.root, graph.children, source.name);
    const target =
      opened === undefined
        ? stack.use(await openTarget(session, destination, graph))
        : await openEarly();
    const copier = openCopier(session, { ...request, sent, mounts }, target);
    const tag = tagFor(target, source.tag, graph.root.digest);
    const published = await copier.move(graph, request.referrers ? undefined : tag);
    let referrers = 0;
    if (request.referrers) {
      for await (const referrer of referrersOf(reader, graph, session)) {
        if (referrer.tag !== undefined) {
          const attached = referrer.graph.root;
          await checkAttachmentTag(target.writer, referrer.tag, attached, session.signal);
        }
        add(published, await copier.move(referrer.graph, referrer.tag));
        referrers += 1;
      }
      // The tag shows the model when all that refers to it is there as well.
      await copier.tag(graph, tag);
    }
    await copier.finish();
    return await publishReport({
      session,
      name: target.name,
      reference: target.reference,
      action: request.dryRun ? "would-copy" : "copied",
      model: graph,
      published,
      referrers,
      milliseconds: performance.now() - started,
      platform:
        platform === undefined
          ? await platformOfRoot(source, session.signal)
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
  { name, tag, reference }: OpenTarget,
  sourceTag: string | undefined,
  digest: Digest,
): string | undefined {
  if (reference === undefined) return tag ?? sourceTag;
  if (reference.digest === undefined || reference.digest === digest) return tag;
  throw new OcibundleError("usage", `"${name}" has a different digest than ${digest}`, {
    hint: `use a tag, such as ${formatRepository(reference)}:v1`,
  });
}

interface Copier {
  move(graph: Converted, tag: string | undefined): Promise<Published>;
  tag(graph: ContentGraph, tag: string | undefined): Promise<void>;
  /** Makes what was moved final, and remembers it. */
  finish(): Promise<void>;
}

/** Where blobs may be mounted from; undefined where they do not go to a registry. */
async function openMounts(
  session: Session,
  from: Repository | undefined,
  destination: ReturnType<typeof parseTarget<"copy">>,
): Promise<MountSources | undefined> {
  if (destination.kind !== "registry") return undefined;
  const { reference } = destination;
  const also = from !== undefined && from.registry.host === reference.host ? [from.name] : [];
  return openMountSources(session, reference, also);
}

interface CopierOptions extends Pick<CopyRequest, "dryRun" | "checkBlobs"> {
  /** What was sent before. */
  sent: ReadonlyMap<Digest, number>;
  mounts: MountSources | undefined;
}

function openCopier(
  session: Session,
  { dryRun, checkBlobs, sent, mounts }: CopierOptions,
  { writer, reference, commit }: OpenTarget,
): Copier {
  const moved: BlobToMove[] = [];
  return {
    move(graph, tag) {
      const blobs = mounts?.offer(graph.blobs) ?? graph.blobs;
      moved.push(...blobs);
      return publish({ ...graph, blobs }, writer, {
        ...session,
        concurrency: session.flags.concurrency,
        ...(graph.childTags === undefined ? {} : { childTags: graph.childTags }),
        phase: reference === undefined ? "write" : "upload",
        tag,
        dryRun,
        checkBlobs,
        sentBefore: sent,
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

/** Everything below a root. What is missing of an index may be a platform that nobody wants. */
async function wholeGraph(
  reader: ContentReader,
  root: RawManifest,
  signal: AbortSignal,
): Promise<ContentGraph> {
  try {
    return await readGraph(reader, root, signal);
  } catch (error) {
    const isSparse =
      error instanceof OcibundleError && error.code === "not_found" && isIndexType(root.mediaType);
    if (!isSparse) throw error;
    throw amended(error, { hint: "copy one of the existing platforms with --platform" });
  }
}

/**
 * The part of a model that one platform needs: its image with what is attested of it, and the weights.
 * Its index is a new one; the manifests below keep their bytes.
 */
async function narrowed(
  { signal, emit }: Session,
  reader: ContentReader,
  root: RawManifest,
  platform: Platform,
): Promise<ContentGraph> {
  if (!isIndexType(root.mediaType) && hasOnlyWeights(root, reader.name)) {
    throw new OcibundleError(
      "usage",
      `--platform needs an image: ${reader.name} has only weights`,
      {
        hint: "remove --platform: weights are the same for every platform",
      },
    );
  }
  const image = await readModelImage(reader, root, platform, signal);
  const message = leftOutWarning(image);
  if (message !== undefined) emit({ type: "warning", message });
  if (!isIndexType(root.mediaType)) return assembleStandalone(reader, image, signal);
  const { index } = parseIndexEntries(root, reader.name);
  const later = index.manifests.filter(isLaterWeights);
  const weights: WeightsPart[] = [];
  for (const entry of weightsEntries(index)) {
    weights.push(weightsPartOf(reader, await readChild(reader, entry, signal)));
  }
  if (weights.length + later.length === 0) return assembleStandalone(reader, image, signal);
  const model = { ...image, kept: [...image.kept, ...later] };
  return assembleBundle(reader, model, weights, signal);
}

function add(sum: Published, more: Published): void {
  for (const kind of ["sent", "mounted", "present"] as const) {
    sum[kind].blobs += more[kind].blobs;
    sum[kind].bytes += more[kind].bytes;
  }
  for (const [digest, outcome] of more.outcomes) sum.outcomes.set(digest, outcome);
}
