import * as v from "valibot";
import { isImageConfigType } from "../../../oci/media-types.ts";
import { type ArtifactFormat, tarAtRoot, typeOf } from "./contents.ts";
import { isTarType } from "./modelpack.ts";

const dockerLayer = /^application\/vnd\.docker\.image\.rootfs\..*diff\.tar(?:\.gzip|\.zstd)?$/;

/**
 * An ordinary image: KServe's modelcars, Kubernetes image volumes. Its layers are laid one over the other;
 * `pull --path` takes a part of it.
 */
export const imageFiles: ArtifactFormat = {
  name: "image",
  title: "image",
  needsConfig: true,
  matches: ({ config, layers }) =>
    isImageConfigType(typeOf(config)) &&
    layers.length > 0 &&
    layers.every((layer) => isTarType(layer) || dockerLayer.test(typeOf(layer))),
  list({ layers }, { config }) {
    const diffIds = diffIdsOf(config);
    // Where their numbers differ it is not known which is whose.
    const idOf = (index: number) =>
      diffIds.length === layers.length ? diffIds[index]?.toLowerCase() : undefined;
    const tars = layers.map((layer, index) => {
      return { ...tarAtRoot(layer), overlay: true, diffId: idOf(index) };
    });
    return { files: [], tars };
  },
};

const ConfigSchema = v.object({ rootfs: v.object({ diff_ids: v.array(v.string()) }) });

/** The digests of an image's decompressed layers; none where its config does not say them. */
function diffIdsOf(config: Uint8Array): readonly string[] {
  try {
    const parsed: unknown = JSON.parse(new TextDecoder().decode(config));
    return v.is(ConfigSchema, parsed) ? parsed.rootfs.diff_ids : [];
  } catch {
    return [];
  }
}
