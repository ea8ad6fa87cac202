import * as v from "valibot";
import { parallel } from "../../../flow/parallel.ts";
import { OcibundleError } from "../../../errors.ts";
import {
  AnnotationsSchema,
  type Descriptor,
  DescriptorSchema,
  MediaTypeSchema,
} from "../../../oci/descriptor.ts";
import type { Digest } from "../../../oci/digest.ts";
import { parseDocument } from "../../../oci/document.ts";
import {
  type ImageIndex,
  type ImageManifest,
  ImageIndexSchema,
  ImageManifestSchema,
} from "../../../oci/manifest.ts";
import { isIndexType, isManifestType } from "../../../oci/media-types.ts";
import { Refusal, type RefusalCode } from "./refusal.ts";
import type { NewManifest, Referrer } from "../storage/manifest-links.ts";
import type { Storage } from "../storage/storage.ts";

/** What any manifest may have, whatever its type. */
const AnyManifestSchema = v.looseObject({
  mediaType: v.optional(MediaTypeSchema),
  artifactType: v.optional(v.string()),
  config: v.optional(DescriptorSchema),
  subject: v.optional(DescriptorSchema),
  annotations: v.optional(AnnotationsSchema),
});
type AnyManifest = v.InferOutput<typeof AnyManifestSchema>;

/** A manifest as it was sent. */
export interface ManifestToCheck {
  bytes: Uint8Array;
  digest: Digest;
  contentType: string | null;
}

/**
 * Checks a manifest that is pushed: its form, its type, and that the repository has what it names. A subject may be
 * missing, and so may layers that are fetched from elsewhere. Manifests of types that are not known here are taken as
 * they are; with `sparse` nothing it names need be there. Throws `MANIFEST_INVALID`, `MANIFEST_BLOB_UNKNOWN`.
 */
export async function checkManifest(
  { bytes, digest, contentType }: ManifestToCheck,
  repository: string,
  storage: Storage,
  sparse: boolean,
): Promise<Pick<NewManifest, "mediaType" | "referrer">> {
  const any = parse(bytes, AnyManifestSchema);
  const said = contentType?.split(";")[0]?.trim() ?? "";
  const mediaType = said === "" ? any.mediaType : said;
  if (mediaType === undefined || !v.is(MediaTypeSchema, mediaType)) {
    throw invalid("Content-Type is not a media type", { "Content-Type": contentType });
  }
  if (any.mediaType !== undefined && any.mediaType !== mediaType) {
    throw invalid("mediaType does not match Content-Type", {
      mediaType: any.mediaType,
      "Content-Type": contentType,
    });
  }
  const missing = isIndexType(mediaType)
    ? await missingManifests(parse(bytes, ImageIndexSchema), repository, storage)
    : isManifestType(mediaType)
      ? await missingBlobs(parse(bytes, ImageManifestSchema), repository, storage)
      : [];
  const [first, ...others] = missing.map((descriptor) => ({
    code: "MANIFEST_BLOB_UNKNOWN" as const satisfies RefusalCode,
    message: "the manifest references content that does not exist in the repository",
    detail: { digest: descriptor.digest, mediaType: descriptor.mediaType, size: descriptor.size },
  }));
  if (first !== undefined && !sparse) throw new Refusal(400, [first, ...others]);
  return { mediaType, referrer: referrerOf(any, mediaType, digest, bytes.byteLength) };
}

/** Blobs that are looked up at once: a model in parts has hundreds. */
const checksAtOnce = 16;

/** Faults in one answer: a manifest of 4 MiB may name tens of thousands of missing blobs. */
const maxFaults = 100;

async function missingManifests(
  index: ImageIndex,
  repository: string,
  { manifests }: Storage,
): Promise<Descriptor[]> {
  const missing: Descriptor[] = [];
  for (const child of index.manifests) {
    if (missing.length === maxFaults) break;
    const found = await manifests.find(repository, child.digest);
    if (found === undefined) missing.push(child);
    else requireSize(child, found.size);
  }
  return missing;
}

async function missingBlobs(
  { config, layers }: ImageManifest,
  repository: string,
  { blobs }: Storage,
): Promise<Descriptor[]> {
  const all = [config, ...layers];
  const { signal } = new AbortController();
  const sizes = await parallel(all, checksAtOnce, signal, ({ digest }) =>
    blobs.size(repository, digest),
  );
  const missing: Descriptor[] = [];
  for (const [index, blob] of all.entries()) {
    if (missing.length === maxFaults) break;
    const size = sizes[index];
    if (size !== undefined) requireSize(blob, size);
    else if (!isElsewhere(blob)) missing.push(blob);
  }
  return missing;
}

/** Layers that a registry need not have: image-spec v1.1, layer.md, non-distributable layers; Docker's foreign ones. */
const isElsewhere = ({ urls, mediaType }: Descriptor): boolean =>
  (urls !== undefined && urls.length > 0) || /(?:\.nondistributable\.|\.foreign\.)/.test(mediaType);

function requireSize({ digest, size }: Descriptor, stored: number): void {
  if (size === stored) return;
  throw invalid("the size in a descriptor does not match its content", { digest, size, stored });
}

/** distribution-spec v1.1, listing referrers: the type falls back to the config's, annotations are copied. */
function referrerOf(
  manifest: AnyManifest,
  mediaType: string,
  digest: Digest,
  size: number,
): Referrer | undefined {
  if (manifest.subject === undefined) return undefined;
  const artifactType = manifest.artifactType || manifest.config?.mediaType;
  return {
    subject: manifest.subject.digest,
    descriptor: {
      mediaType,
      digest,
      size,
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(manifest.annotations === undefined ? {} : { annotations: manifest.annotations }),
    },
  };
}

function parse<Schema extends v.GenericSchema>(
  bytes: Uint8Array,
  schema: Schema,
): v.InferOutput<Schema> {
  try {
    return parseDocument(bytes, schema, "manifest");
  } catch (error) {
    if (!(error instanceof OcibundleError)) throw error;
    throw invalid(error.message);
  }
}

const invalid = (message: string, detail?: Record<string, unknown>): Refusal =>
  new Refusal(400, { code: "MANIFEST_INVALID", message, ...(detail && { detail }) });
