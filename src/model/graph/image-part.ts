import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { parseDocument } from "../../oci/document.ts";
import { readSmallBlob } from "../../store/small-blob.ts";
import {
  type ImageConfig,
  ImageConfigSchema,
  type ImageIndex,
  ImageIndexSchema,
  type ImageManifest,
  ImageManifestSchema,
  type RawManifest,
} from "../../oci/manifest.ts";
import { isIndexType, isManifestType, mediaTypes } from "../../oci/media-types.ts";
import {
  formatPlatform,
  isKnownPlatform,
  matchesPlatform,
  type Platform,
} from "../../oci/platform.ts";
import { weightsArtifactType } from "../format/annotations.ts";
import { readChild } from "./content-graph.ts";
import { entryType, findImage } from "../format/model-index.ts";

/** The image of a model as its source has it, narrowed to what is to be kept. */
export interface ModelImage {
  /** The manifest or index that stands for the image alone, its bytes untouched. */
  root: RawManifest;
  /** Index entries of the images, each with its platform. */
  images: Descriptor[];
  /** Other entries of the source's index (attestations), kept as they are. */
  kept: Descriptor[];
}

/**
 * Reads an image from a source: a single manifest, or an index with all its platforms or the one
 * asked for. A weights entry of a source that is itself a bundle is left out.
 *
 * Throws `not_found` when `platform` is not among them, `file` when the root is no image.
 */
export async function readModelImage(
  reader: ContentReader,
  root: RawManifest,
  platform: Platform | undefined,
  signal: AbortSignal,
): Promise<ModelImage> {
  if (isManifestType(root.mediaType)) {
    const entry = await describeImage(reader, root, signal);
    if (platform !== undefined && !matchesPlatform(platformOf(entry), platform)) {
      throw lacksPlatform(reader.name, platform, [entry]);
    }
    return { root, images: [entry], kept: [] };
  }
  const index = readIndex(reader, root);
  const images = index.manifests.filter((entry) => entryType(entry) === "image");
  const kept = index.manifests.filter((entry) => entryType(entry) === "other");
  if (platform === undefined) {
    if (images.length === 0) {
      // Some builders write an index of one manifest and no platform: the config knows it.
      const [only, ...more] = kept.filter((entry) => isManifestType(entry.mediaType));
      if (only !== undefined && more.length === 0) {
        const child = await readChild(reader, only, signal);
        return readModelImage(reader, child, undefined, signal);
      }
      throw new OcibundleError("file", `${reader.name}: the index has no image in it`);
    }
    return { root, images, kept };
  }
  const chosen = findImage(index, platform);
  if (chosen === undefined) throw lacksPlatform(reader.name, platform, images);
  return { root: await readChild(reader, chosen, signal), images: [chosen], kept: [] };
}

function readIndex(reader: ContentReader, root: RawManifest): ImageIndex {
  if (!isIndexType(root.mediaType)) {
    throw new OcibundleError("file", `${reader.name}: "${root.mediaType}" is not an image`, {
      hint: "an image is an OCI or Docker manifest, or an index of them",
    });
  }
  return parseDocument(root.bytes, ImageIndexSchema, `${reader.name}: index`);
}

/** The index entry for an image manifest: its platform is what its config says, variant included. */
async function describeImage(
  reader: ContentReader,
  root: RawManifest,
  signal: AbortSignal,
): Promise<Descriptor> {
  const manifest = parseDocument(root.bytes, ImageManifestSchema, `${reader.name}: manifest`);
  const config = await readImageConfig(reader, manifest, signal);
  const { os, architecture, variant } = config;
  return {
    mediaType: root.mediaType,
    digest: root.digest,
    size: root.bytes.byteLength,
    platform: {
      os,
      architecture,
      ...(variant === undefined ? {} : { variant }),
      ...(config["os.version"] === undefined ? {} : { "os.version": config["os.version"] }),
    },
  };
}

/** Reads the config of an image manifest. Throws `file` when the manifest is that of another artifact. */
export async function readImageConfig(
  reader: ContentReader,
  manifest: ImageManifest,
  signal: AbortSignal,
): Promise<ImageConfig> {
  const type = manifest.artifactType ?? manifest.config.mediaType;
  if (type === weightsArtifactType || manifest.config.mediaType === mediaTypes.ociEmpty) {
    throw new OcibundleError(
      "file",
      `${reader.name}: an artifact of type "${type}", not an image`,
      {
        hint: "--image takes an image; weights come from weights.lock",
      },
    );
  }
  const bytes = await readSmallBlob(reader, manifest.config, signal);
  return parseDocument(bytes, ImageConfigSchema, `${reader.name}: image config`);
}

const platformOf = (entry: Descriptor): Platform =>
  entry.platform ?? { os: "unknown", architecture: "unknown" };

function lacksPlatform(name: string, wanted: Platform, images: readonly Descriptor[]) {
  const known = images
    .map((entry) => entry.platform)
    .filter(isKnownPlatform)
    .map(formatPlatform);
  return new OcibundleError("not_found", `${name}: no image for ${formatPlatform(wanted)}`, {
    hint: known.length === 0 ? "it says no platform at all" : `it has ${known.join(", ")}`,
  });
}
