import type { Descriptor } from "../../oci/descriptor.ts";
import { parseDocument } from "../../oci/document.ts";
import { ImageIndexSchema, type RawManifest } from "../../oci/manifest.ts";
import { isIndexType } from "../../oci/media-types.ts";
import { modelIndex } from "../format/model-index.ts";
import type { AssembledModel } from "../graph/assemble.ts";
import { cogIndex } from "../layout/cog.ts";
import { layOut } from "../layout/layouts.ts";
import type { OriginalFile } from "../layout/original-file.ts";
import type { Session } from "../session/session.ts";

/**
 * Weights that stand alone, with the same files beside them as an image that can be mounted: one index for those
 * who pull the weights and for those who mount the image.
 */
export async function withVolume(
  { cache, signal, emit }: Session,
  model: AssembledModel,
  { files, root }: { files: readonly OriginalFile[]; root: string | undefined },
): Promise<AssembledModel> {
  const volume = await layOut("image", files, { cache, signal, emit, root });
  const images = entriesOf(volume.root);
  const isIndex = isIndexType(model.root.mediaType);
  const blobs = [...volume.blobs, ...model.blobs];
  return {
    ...model,
    root: isIndex
      ? cogIndex(images, entriesOf(model.root))
      : modelIndex({ images, kept: [], weights: [model.root] }),
    children: [...volume.children, ...model.children, ...(isIndex ? [] : [model.root])],
    blobs: [...new Map(blobs.map((blob) => [blob.descriptor.digest, blob])).values()],
  };
}

const entriesOf = ({ bytes }: RawManifest): Descriptor[] =>
  parseDocument(bytes, ImageIndexSchema, "index").manifests;
