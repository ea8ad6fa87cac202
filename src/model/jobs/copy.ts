import { OcibundleError, withContext } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { formatPlatform, parsePlatform } from "../../oci/platform.ts";
import { machinePlatform } from "../session/machine-platform.ts";
import { formatRepository } from "../../oci/reference.ts";
import { type OpenTarget, openTarget, parseTarget } from "../places/target.ts";
import { platformOfRoot } from "../places/load-model.ts";
import { parseLayout } from "../format/layout-name.ts";
import { partsOnly } from "../layout/layouts.ts";
import { checkAttachmentTag, referrersOf } from "../graph/referrers.ts";
import { type MountSources, openMountSources } from "../places/mount-sources.ts";
import type { PartsCompression } from "../weights/store-parts.ts";
import { type Converted, converted } from "./convert.ts";
import { firstGiven } from "./first-given.ts";
import { partTarget } from "./part-target.ts";
import type { Published } from "../graph/publish.ts";
import { publishReport } from "../graph/publish-report.ts";
import { summarize } from "../graph/summary.ts";
import { type JobContext, openSession, type Session } from "../session/session.ts";
import { modelPlace } from "../places/place.ts";
import { openSigned } from "../trust/open-signed.ts";
import type { Repository } from "../../registry/types.ts";
import type { PublishReport } from "../../report/publish.ts";
import { wholeGraph, narrowed } from "./graph-to-copy.ts";
import { openCopier } from "./copier.ts";

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
  const { dryRun, checkBlobs } = request;
  const platform =
    request.platform === undefined ? undefined : parsePlatform(request.platform, machinePlatform());
  try {
    checkFlags(request);
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
      dryRun,
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
    const copier = openCopier(session, { dryRun, checkBlobs, sent, mounts }, target);
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
      action: dryRun ? "would-copy" : "copied",
      model: graph,
      published,
      referrers,
      milliseconds: performance.now() - started,
      platform:
        platform === undefined
          ? await platformOfRoot(source, session.signal)
          : formatPlatform(platform),
      target: target.reference === undefined ? "layout" : "registry",
      dryRun,
    });
  } catch (error) {
    throw withContext(`copy ${request.source} to ${request.target}`, error);
  }
}

/** Throws `usage` for flags that need another one. */
function checkFlags(request: CopyRequest): void {
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

function add(sum: Published, more: Published): void {
  for (const kind of ["sent", "mounted", "present"] as const) {
    sum[kind].blobs += more[kind].blobs;
    sum[kind].bytes += more[kind].bytes;
  }
  for (const [digest, outcome] of more.outcomes) sum.outcomes.set(digest, outcome);
}
