import { OcibundleError } from "../../errors.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { digestOf } from "../../oci/digest.ts";
import type { ImageIndex, RawManifest } from "../../oci/manifest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import { isKnownPlatform, matchesPlatform, type Platform } from "../../oci/platform.ts";
import { annotationKeys, weightsArtifactType } from "./annotations.ts";
import { goJson } from "./go-json.ts";

/** What a model index binds. */
export interface ModelIndexParts {
  /** One for each platform; image manifests or, from some sources, anything with a platform. */
  images: readonly Descriptor[];
  /** Other entries of the source's index: attestations. Written as they are. */
  kept: readonly Descriptor[];
  weights?: RawManifest | undefined;
}

/** The image index of a model (docs/format.md): the images, what else their index had, the weights. */
export function modelIndex({ images, kept, weights }: ModelIndexParts): RawManifest {
  const [image, ...otherImages] = images;
  const only = otherImages.length === 0 ? image : undefined;
  const bytes = goJson({
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: [
      ...images,
      ...kept,
      ...(weights === undefined ? [] : [weightsEntry(weights, only)]),
    ],
  });
  return { mediaType: mediaTypes.ociIndex, digest: digestOf(bytes), bytes };
}

/** `image`: the one image of the index, where there is exactly one. */
const weightsEntry = (weights: RawManifest, image: Descriptor | undefined): Descriptor => ({
  mediaType: weights.mediaType,
  artifactType: weightsArtifactType,
  digest: weights.digest,
  size: weights.bytes.byteLength,
  platform: { os: "unknown", architecture: "unknown" },
  annotations: {
    [annotationKeys.referenceType]: "weights",
    ...(image === undefined ? {} : { [annotationKeys.referenceDigest]: image.digest }),
  },
});

/** What an entry of an index is. Its position says nothing. */
export type EntryType = "image" | "weights" | "other";

export function entryType(entry: Descriptor): EntryType {
  if (
    entry.annotations?.[annotationKeys.referenceType] === "weights" ||
    entry.artifactType === weightsArtifactType
  ) {
    return "weights";
  }
  return isKnownPlatform(entry.platform) ? "image" : "other";
}

/** The image for a platform, or undefined. The variant counts only where one is asked for. */
export const findImage = (index: ImageIndex, platform: Platform): Descriptor | undefined =>
  index.manifests.find(
    (entry) =>
      entryType(entry) === "image" &&
      entry.platform !== undefined &&
      matchesPlatform(entry.platform, platform),
  );

/** The weights of a model, or undefined where it has none. Throws `file` when there are two. */
export function findWeights(index: ImageIndex, on = "model index"): Descriptor | undefined {
  const [first, second] = index.manifests.filter((entry) => entryType(entry) === "weights");
  if (first !== undefined && second !== undefined) {
    throw new OcibundleError(
      "file",
      `${on}: two weights artifacts, ${first.digest} and ${second.digest}`,
      { hint: "name the one you mean by its digest" },
    );
  }
  return first;
}
