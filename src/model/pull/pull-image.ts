import { OcibundleError, withContext } from "../../errors.ts";
import { engineClient } from "../../image/engine/client.ts";
import { findEndpoint } from "../../image/engine/endpoint.ts";
import { loadImage } from "../../image/engine/load.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { shortDigest } from "../../oci/digest.ts";
import { parseManifest } from "../../oci/manifest-sizes.ts";
import { ImageManifestSchema, type RawManifest } from "../../oci/manifest.ts";
import { isIndexType } from "../../oci/media-types.ts";
import {
  formatPlatform,
  isKnownPlatform,
  matchesPlatform,
  parsePlatform,
  type Platform,
} from "../../oci/platform.ts";
import { assembleStandalone } from "../graph/assemble.ts";
import { readChild } from "../graph/read-child.ts";
import { machinePlatform } from "../session/machine-platform.ts";
import { type ModelImage, readModelImage } from "../graph/image-part.ts";
import { openTarget, parseTarget } from "../places/target.ts";
import { publish } from "../graph/publish.ts";
import { type JobContext, openSession, type Session } from "../session/session.ts";
import { modelPlace } from "../places/place.ts";
import { openSigned } from "../trust/open-signed.ts";
import type { VerifySettings } from "../session/verify-settings.ts";
import { hasOnlyWeights } from "../graph/find-weights.ts";
import type { PulledImage } from "../../report/pull.ts";

/** Which image goes where. */
export interface PullImageRequest {
  source: string;
  /** `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]` or `docker-daemon:NAME[:TAG]`. */
  target: string;
  /** This machine's unless given. */
  platform: string | undefined;
  /** Who must have signed it; as the configuration has it unless given. */
  requires?: VerifySettings | undefined;
}

/** Brings the image of a model, for one platform, into a layout or an engine. */
export async function pullImage(job: JobContext, request: PullImageRequest): Promise<PulledImage> {
  const started = performance.now();
  const session = openSession(job);
  const target = parseTarget(request.target, "pullImage");
  const platform =
    request.platform === undefined ? undefined : parsePlatform(request.platform, machinePlatform());
  try {
    const place = await modelPlace(session, request.source);
    const source = await openSigned(session, place, request.requires);
    try {
      const { reader, root } = source;
      const image = await chooseImage(session, reader, root, platform);
      const tag = target.tag ?? source.tag;
      const moved =
        target.kind === "engine"
          ? await intoEngine(session, reader, image.root, target)
          : await intoLayout(session, reader, image, { ...target, tag });
      return {
        target: request.target,
        reference: place.pinned(image.root.digest),
        digest: image.root.digest,
        platform: platformOf(image),
        ...moved,
        milliseconds: Math.round(performance.now() - started),
      };
    } finally {
      await source.close();
    }
  } catch (error) {
    throw withContext(`pull the image of ${request.source}`, error);
  }
}

/** The image for a platform. One that stands alone is taken whatever it is for, unless one was asked for. */
async function chooseImage(
  { signal, emit }: Session,
  reader: ContentReader,
  root: RawManifest,
  asked: Platform | undefined,
): Promise<ModelImage> {
  if (hasOnlyWeights(root, reader.name)) {
    throw new OcibundleError("not_found", `${reader.name} has only weights and no image`, {
      hint: "use -o DIR to pull the weights",
    });
  }
  const here = machinePlatform();
  const wanted = asked ?? (isIndexType(root.mediaType) ? here : undefined);
  const found = await readModelImage(reader, root, wanted, signal, {
    takesLone: asked === undefined,
  });
  const image = await withoutAttestations(reader, found, signal);
  const platform = image.images[0]?.platform;
  if (asked === undefined && isKnownPlatform(platform) && !matchesPlatform(platform, here)) {
    emit({
      type: "warning",
      message: `the image is for ${formatPlatform(platform)}, this machine is ${formatPlatform(here)}`,
    });
  }
  return image;
}

/** The manifest of the image itself: what runs it has no use for what is attested of it. */
async function withoutAttestations(
  reader: ContentReader,
  image: ModelImage,
  signal: AbortSignal,
): Promise<ModelImage> {
  const [entry] = image.images;
  if (!isIndexType(image.root.mediaType) || entry === undefined) return image;
  return { root: await readChild(reader, entry, signal), images: [entry], kept: [] };
}

function platformOf({ images: [image] }: ModelImage): string | null {
  return isKnownPlatform(image?.platform) ? formatPlatform(image.platform) : null;
}

type Moved = Pick<PulledImage, "written" | "present">;

async function intoLayout(
  session: Session,
  reader: ContentReader,
  image: ModelImage,
  target: Parameters<typeof openTarget>[1] & { tag: string | undefined },
): Promise<Moved> {
  const { signal, emit, flags } = session;
  const graph = await assembleStandalone(reader, image, signal);
  await using output = await openTarget(session, target);
  const { sent, present } = await publish(graph, output.writer, {
    signal,
    emit,
    concurrency: flags.concurrency,
    phase: "write",
    tag: target.tag,
  });
  await output.commit();
  return { written: sent.bytes, present: present.bytes };
}

async function intoEngine(
  { env, signal, emit }: Session,
  reader: ContentReader,
  manifest: RawManifest,
  { repository, tag }: { repository: string; tag: string },
): Promise<Moved> {
  const { config, layers } = parseManifest(manifest, ImageManifestSchema, reader.name);
  const blobs = [...new Map([config, ...layers].map((blob) => [blob.digest, blob])).values()];
  const bytes = blobs.reduce((sum, { size }) => sum + size, 0);
  const itemOf = (blob: Descriptor): string =>
    `${blob.digest === config.digest ? "config" : "layer"} ${shortDigest(blob.digest)}`;
  const phase = "write";
  emit({ type: "phase", phase, items: blobs.length, bytes });
  const outcome = await loadImage(
    engineClient(await findEndpoint(env, (message) => emit({ type: "warning", message }))),
    {
      manifest,
      config,
      layers,
      repository,
      tag,
      source: (blob, stop) => reader.blobSource(blob, stop),
    },
    {
      signal,
      onStart: (blob) =>
        emit({ type: "start", phase, item: itemOf(blob), group: "image", bytes: blob.size }),
      onBytes: (blob, more) => emit({ type: "progress", phase, item: itemOf(blob), bytes: more }),
      onDone: (blob) => emit({ type: "done", phase, item: itemOf(blob) }),
    },
  );
  return outcome === "present" ? { written: 0, present: bytes } : { written: bytes, present: 0 };
}
