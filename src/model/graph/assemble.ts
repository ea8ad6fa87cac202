import type { BlobToMove, ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { type ContentGraph, readGraph } from "./content-graph.ts";
import { readChild } from "./read-child.ts";
import { blobsOfManifest } from "./manifest-blobs.ts";
import type { ModelImage } from "./image-part.ts";
import type { CogLockEntry } from "../format/cog-lock.ts";
import { modelIndex } from "../format/model-index.ts";

/** A model as it is to stand in a registry or a layout: what gets the tag, and what that needs. */
export interface AssembledModel extends ContentGraph {
  /** The weights artifact's manifest, where the model has exactly one. */
  weights?: RawManifest;
  image?: ModelImage;
  /** Further tags that the layout's tools look for. */
  childTags?: ReadonlyMap<Digest, string>;
  /** In the `cog` layout: what Cog's own lock says of the weights. */
  cogEntries?: readonly CogLockEntry[];
}

/** Weights that go into a model: their manifest, and the blobs that it needs. */
export interface WeightsPart {
  manifest: RawManifest;
  blobs: BlobToMove[];
}

/** The image as it is, under its own manifest or index. */
export async function assembleStandalone(
  reader: ContentReader,
  image: ModelImage,
  signal: AbortSignal,
): Promise<AssembledModel> {
  return { ...(await readGraph(reader, image.root, signal)), image };
}

/** The weights artifact alone. */
export function assembleWeights({ manifest, blobs }: WeightsPart): AssembledModel {
  return { root: manifest, children: [], blobs, weights: manifest };
}

/**
 * Image and weights side by side in one index (docs/format.md). Children are in the order of a push:
 * images and what was kept first, then the weights.
 */
export async function assembleBundle(
  reader: ContentReader,
  image: ModelImage,
  weights: readonly WeightsPart[],
  signal: AbortSignal,
): Promise<AssembledModel> {
  const children: RawManifest[] = [];
  const blobs = new Map<Digest, BlobToMove>();
  const leftOut: Descriptor[] = [];
  for (const entry of [...image.images, ...image.kept]) {
    const child =
      entry.digest === image.root.digest ? image.root : await readChild(reader, entry, signal);
    const graph = await readGraph(reader, child, signal);
    children.push(...graph.children, child);
    leftOut.push(...(graph.leftOut ?? []));
    for (const blob of graph.blobs) blobs.set(blob.descriptor.digest, blob);
  }
  const { images, kept, annotations } = image;
  const manifests = weights.map(({ manifest }) => manifest);
  children.push(...manifests);
  for (const blob of weights.flatMap((part) => part.blobs)) {
    if (!blobs.has(blob.descriptor.digest)) blobs.set(blob.descriptor.digest, blob);
  }
  const [only, ...more] = manifests;
  return {
    root: modelIndex({ images, kept, weights: manifests, annotations }),
    children,
    blobs: [...blobs.values()],
    leftOut,
    ...(only !== undefined && more.length === 0 ? { weights: only } : {}),
    image,
  };
}

/** A weights artifact that a reader has already. */
export const weightsPartOf = (reader: ContentReader, manifest: RawManifest): WeightsPart => ({
  manifest,
  blobs: blobsOfManifest(reader, manifest, "weights"),
});
