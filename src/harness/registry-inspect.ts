import { parseDocument } from "../oci/document.ts";
import {
  type ImageManifest,
  ImageIndexSchema,
  ImageManifestSchema,
  type RawManifest,
} from "../oci/manifest.ts";
import { isImageConfigType, isIndexType, isManifestType } from "../oci/media-types.ts";
import { formatReference, parseReference, referenceTarget } from "../oci/reference.ts";
import type { ContentReader } from "../oci/content.ts";
import { readChild } from "../model/graph/read-child.ts";
import { readImageConfig } from "../model/graph/image-entry.ts";
import { entryType } from "../model/format/model-index.ts";
import { type JobContext, openSession } from "../model/session/session.ts";

/**
 * The manifest behind a reference with what a scripted test asks about: its own members as they
 * are, its digest and size in bytes, and the labels of the (first) image. A reference without a host
 * is looked up on `$TEST_REGISTRY`.
 */
export async function registryInspect(
  job: JobContext,
  text: string,
): Promise<Record<string, unknown>> {
  const host = job.env["TEST_REGISTRY"];
  const [first = ""] = text.split("/");
  const isWhole = text.includes("/") && (/[.:[]/.test(first) || first === "localhost");
  const reference = parseReference(
    isWhole || host === undefined || host === "" ? text : `${host}/${text}`,
  );
  const reader = openSession(job).reader(reference);
  const raw = await reader.readManifest(referenceTarget(reference), job.signal);
  return {
    reference: formatReference(reference),
    mediaType: raw.mediaType,
    digest: raw.digest,
    size: raw.bytes.byteLength,
    ...(await describe(reader, raw, job.signal)),
  };
}

async function describe(
  reader: ContentReader,
  raw: RawManifest,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const on = reader.name;
  if (isManifestType(raw.mediaType)) {
    const manifest = parseDocument(raw.bytes, ImageManifestSchema, on);
    const { artifactType, config, layers, annotations } = manifest;
    const labels = await labelsOf(reader, manifest, signal);
    return { artifactType, config, layers, annotations, labels };
  }
  if (!isIndexType(raw.mediaType)) return {};
  const { manifests, annotations } = parseDocument(raw.bytes, ImageIndexSchema, on);
  const image = manifests.find((entry) => entryType(entry) === "image");
  if (image === undefined) return { manifests, annotations };
  const child = await readChild(reader, image, signal);
  const manifest = parseDocument(child.bytes, ImageManifestSchema, on);
  return { manifests, annotations, labels: await labelsOf(reader, manifest, signal) };
}

/** An image's labels; undefined for an artifact, whose config is none of an image. */
async function labelsOf(
  reader: ContentReader,
  manifest: ImageManifest,
  signal: AbortSignal,
): Promise<Record<string, string> | undefined> {
  if (!isImageConfigType(manifest.config.mediaType)) return undefined;
  const config = await readImageConfig(reader, manifest, signal);
  return config.config?.Labels ?? {};
}
