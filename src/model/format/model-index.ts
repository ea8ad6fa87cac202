import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { digestOf } from "../../oci/digest.ts";
import type { ImageIndex, RawManifest } from "../../oci/manifest.ts";
import { essenceOf, mediaTypes } from "../../oci/media-types.ts";
import { isKnownPlatform } from "../../oci/platform.ts";
import { parseDocument } from "../../oci/document.ts";
import {
  annotationKeys,
  laterWeightsArtifactType,
  partsArtifactType,
  weightsArtifactType,
} from "./annotations.ts";
import { goJson } from "./go-json.ts";

/** What a model index binds. */
export interface ModelIndexParts {
  /** One for each platform; image manifests or, from some sources, anything with a platform. */
  images: readonly Descriptor[];
  /** Other entries of the source's index: attestations. Written as they are. */
  kept: readonly Descriptor[];
  weights?: readonly RawManifest[];
  /** Of the source's index. */
  annotations?: Readonly<Record<string, string>> | undefined;
}

/** The image index of a model (docs/format.md): the images, what else their index had, the weights. */
export function modelIndex({
  images,
  kept,
  weights = [],
  annotations,
}: ModelIndexParts): RawManifest {
  const [image, ...otherImages] = images;
  const only = otherImages.length === 0 ? image : undefined;
  const bytes = goJson({
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: [
      ...images.map(withSystem),
      ...kept,
      ...weights.map((manifest) => weightsEntry(manifest, only)),
    ],
    ...(annotations === undefined ? {} : { annotations }),
  });
  return { mediaType: mediaTypes.ociIndex, digest: digestOf(bytes), bytes };
}

/** Readers differ in what they make of an empty system; here it is Linux. */
const withSystem = (image: Descriptor): Descriptor =>
  image.platform?.os === "" ? { ...image, platform: { ...image.platform, os: "linux" } } : image;

/** `image`: the one image of the index, where there is exactly one. */
const weightsEntry = (weights: RawManifest, image: Descriptor | undefined): Descriptor => ({
  mediaType: weights.mediaType,
  artifactType: isInParts(weights) ? partsArtifactType : weightsArtifactType,
  digest: weights.digest,
  size: weights.bytes.byteLength,
  platform: { os: "unknown", architecture: "unknown" },
  annotations: {
    [annotationKeys.referenceType]: "weights",
    ...(image === undefined ? {} : { [annotationKeys.referenceDigest]: image.digest }),
  },
});

/** Whether a weights artifact says that it is in parts; any other is the bundle's, whatever it says. */
const isInParts = ({ bytes }: RawManifest): boolean => {
  const { artifactType } = parseDocument(bytes, TypedSchema, "weights artifact");
  return typeof artifactType === "string" && essenceOf(artifactType) === partsArtifactType;
};

const TypedSchema = v.looseObject({ artifactType: v.optional(v.unknown()) });

/** What an entry of an index is. Its position says nothing. */
export type EntryType = "image" | "weights" | "other";

/** What an entry of an index is for a model: image, weights, or neither. */
export function entryType(entry: Descriptor): EntryType {
  const { artifactType, annotations } = entry;
  if (essenceOf(artifactType ?? "") === weightsArtifactType) return "weights";
  if (isLaterWeights(entry)) return "other";
  if (annotations?.[annotationKeys.referenceType] === "weights") return "weights";
  return isKnownPlatform(entry.platform) ? "image" : "other";
}

/** Whether an entry is weights in a later format of Cog's: none of the image, and not to be read here. */
export const isLaterWeights = ({ artifactType }: Descriptor): boolean =>
  essenceOf(artifactType ?? "") === laterWeightsArtifactType;

/** The weights artifacts of a model, in the order of the index. */
export const weightsEntries = (index: ImageIndex): Descriptor[] =>
  index.manifests.filter((entry) => entryType(entry) === "weights");

/**
 * The one weights artifact of a model, or undefined where it has none. Throws `usage` when there are
 * several, naming them.
 */
export function findWeights(index: ImageIndex, on = "model index"): Descriptor | undefined {
  const [first, ...others] = weightsEntries(index);
  if (first === undefined || others.length === 0) return first;
  const digests = [first, ...others].slice(0, 10).map(({ digest }) => digest);
  throw new OcibundleError(
    "usage",
    `${on}: ${others.length + 1} weights artifacts: ${digests.join(", ")}`,
    { hint: `use a digest, such as REPOSITORY@${first.digest}` },
  );
}
