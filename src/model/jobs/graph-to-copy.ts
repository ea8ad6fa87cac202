import { OcibundleError, amended } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import { parseIndexEntries } from "../../oci/index-entries.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { isIndexType } from "../../oci/media-types.ts";
import type { Platform } from "../../oci/platform.ts";
import {
  assembleBundle,
  assembleStandalone,
  type WeightsPart,
  weightsPartOf,
} from "../graph/assemble.ts";
import { type ContentGraph, readGraph } from "../graph/content-graph.ts";
import { readChild } from "../graph/read-child.ts";
import { hasOnlyWeights } from "../graph/find-weights.ts";
import { leftOutWarning, readModelImage } from "../graph/image-part.ts";
import { isLaterWeights, weightsEntries } from "../format/model-index.ts";
import type { Session } from "../session/session.ts";

/** Everything below a root. What is missing of an index may be a platform that nobody wants. */
export async function wholeGraph(
  reader: ContentReader,
  root: RawManifest,
  signal: AbortSignal,
): Promise<ContentGraph> {
  try {
    return await readGraph(reader, root, signal);
  } catch (error) {
    const isSparse =
      error instanceof OcibundleError && error.code === "not_found" && isIndexType(root.mediaType);
    if (!isSparse) throw error;
    throw amended(error, { hint: "copy one of the existing platforms with --platform" });
  }
}

/**
 * The part of a model that one platform needs: its image with what is attested of it, and the weights.
 * Its index is a new one; the manifests below keep their bytes.
 */
export async function narrowed(
  { signal, emit }: Session,
  reader: ContentReader,
  root: RawManifest,
  platform: Platform,
): Promise<ContentGraph> {
  if (!isIndexType(root.mediaType) && hasOnlyWeights(root, reader.name)) {
    throw new OcibundleError(
      "usage",
      `--platform needs an image: ${reader.name} has only weights`,
      {
        hint: "remove --platform: weights are the same for every platform",
      },
    );
  }
  const image = await readModelImage(reader, root, platform, signal);
  const message = leftOutWarning(image);
  if (message !== undefined) emit({ type: "warning", message });
  if (!isIndexType(root.mediaType)) return assembleStandalone(reader, image, signal);
  const { index } = parseIndexEntries(root, reader.name);
  const later = index.manifests.filter(isLaterWeights);
  const weights: WeightsPart[] = [];
  for (const entry of weightsEntries(index)) {
    weights.push(weightsPartOf(reader, await readChild(reader, entry, signal)));
  }
  if (weights.length + later.length === 0) return assembleStandalone(reader, image, signal);
  const model = { ...image, kept: [...image.kept, ...later] };
  return assembleBundle(reader, model, weights, signal);
}
