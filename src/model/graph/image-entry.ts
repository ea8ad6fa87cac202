import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { parseDocument } from "../../oci/document.ts";
import { parseManifest } from "../../oci/manifest-sizes.ts";
import {
  type ImageConfig,
  ImageConfigSchema,
  type ImageManifest,
  ImageManifestSchema,
  type RawManifest,
} from "../../oci/manifest.ts";
import {
  isGenericType,
  isImageConfigType,
  isIndexType,
  isManifestType,
  mediaTypes,
} from "../../oci/media-types.ts";
import { isKnownPlatform, writtenPlatform } from "../../oci/platform.ts";
import { readSmallBlob } from "../../store/small-blob.ts";
import { annotationKeys } from "../format/annotations.ts";
import { isWeightsManifest } from "../format/weights-artifact.ts";

/** What builders put beside an image to attest how it was made. */
export const isAttestation = ({ annotations }: Descriptor): boolean =>
  annotations?.["vnd.docker.reference.type"] !== undefined;

/** Whether an entry may be an image although its index says no platform, or only half of one. */
export const isUndeclared = (entry: Descriptor): boolean =>
  (entry.artifactType ?? "") === "" &&
  !isAttestation(entry) &&
  entry.annotations?.[annotationKeys.referenceType] === undefined &&
  (entry.platform === undefined ||
    entry.platform.architecture === "" ||
    isKnownPlatform(entry.platform)) &&
  (isManifestType(entry.mediaType) ||
    isIndexType(entry.mediaType) ||
    isGenericType(entry.mediaType));

/** The index entry for an image manifest: its platform is what its config says, variant included. */
export async function describeImage(
  reader: ContentReader,
  root: RawManifest,
  signal: AbortSignal,
): Promise<Descriptor> {
  const manifest = parseManifest(root, ImageManifestSchema, `${reader.name}: manifest`);
  const config = await readImageConfig(reader, manifest, signal);
  const entry = {
    mediaType: root.mediaType,
    digest: root.digest,
    size: root.bytes.byteLength,
  };
  return isKnownPlatform(config) ? { ...entry, platform: writtenPlatform(config) } : entry;
}

/** Reads the config of an image manifest. Throws `file` when the manifest is that of another artifact. */
export async function readImageConfig(
  reader: ContentReader,
  manifest: ImageManifest,
  signal: AbortSignal,
): Promise<ImageConfig> {
  const { artifactType = "", config } = manifest;
  const isOther =
    isWeightsManifest(manifest) ||
    config.mediaType === mediaTypes.ociEmpty ||
    (artifactType !== "" && !isImageConfigType(config.mediaType));
  if (isOther) {
    throw new OcibundleError(
      "file",
      `${reader.name}: an artifact of type "${artifactType || config.mediaType}", not an image`,
      {
        hint: "use --image for images, and --weights for weights",
      },
    );
  }
  const bytes = await readSmallBlob(reader, config, signal);
  return parseDocument(bytes, ImageConfigSchema, `${reader.name}: image config`);
}
