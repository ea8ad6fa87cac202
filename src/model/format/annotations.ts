import type { Descriptor } from "../../oci/descriptor.ts";

/** Annotation keys of the bundle format (docs/format.md). */
export const annotationKeys = {
  weightName: "vnd.cog.weights.name",
  weightDest: "vnd.cog.weights.dest",
  weightDigestOriginal: "vnd.cog.weights.digest.original",
  weightSizeUncompressed: "vnd.cog.weights.size.uncompressed",
  title: "org.opencontainers.image.title",
  referenceType: "vnd.cog.reference.type",
  referenceDigest: "vnd.cog.reference.digest",
} as const;

/** The artifact type of a weights artifact. */
export const weightsArtifactType = "application/vnd.cog.weights.v1";

/** The artifact type of weights in Cog's later formats. */
export const laterWeightsArtifactType = "application/vnd.cog.weight.v1";

/** The artifact type of weights that are stored in parts (docs/format.md). */
export const partsArtifactType = "application/vnd.ocibundle.weights.parts.v1";

/** The name of the weight file a layer holds, or undefined for any other descriptor. */
export const weightName = (descriptor: Descriptor): string | undefined =>
  descriptor.annotations?.[annotationKeys.weightName];

/** The dest of a weight in its annotations, as they are: a stranger's may be anything. */
export const weightDest = (descriptor: Descriptor): string | undefined =>
  descriptor.annotations?.[annotationKeys.weightDest];
