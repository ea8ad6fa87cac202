import type { BlobSource } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import type { DockerImage } from "./docker-manifest.ts";
import type { KnownLayers } from "./types.ts";

/** A layer of an image as it is to be pushed. */
export interface Layer {
  /** The digest of the layer's tar file, as the image's config lists it. */
  diffId: Digest;
  /** The blob. */
  descriptor: Descriptor;
  /** Undefined when the target has the blob already and its bytes were not kept. */
  source: BlobSource | undefined;
}

/** A layer that the target has, by what was recorded of it. */
export async function knownLayer(
  known: KnownLayers | undefined,
  diffId: Digest,
  signal: AbortSignal,
): Promise<Layer | undefined> {
  const descriptor = await known?.find(diffId, signal);
  return descriptor === undefined ? undefined : { diffId, descriptor, source: undefined };
}

/** A layer that is fetched from elsewhere (Windows), unless its bytes came along; registries are not given it. */
export function foreignLayer(
  { LayerSources }: DockerImage,
  diffId: Digest,
  isThere: boolean,
): Layer | undefined {
  const descriptor = isThere ? undefined : LayerSources?.[diffId];
  if (descriptor?.urls === undefined || descriptor.urls.length === 0) return undefined;
  return { diffId, descriptor, source: undefined };
}
