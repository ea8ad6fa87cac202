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
  needsConfig: false,
  matches: ({ config, layers }) =>
    isImageConfigType(typeOf(config)) &&
    layers.length > 0 &&
    layers.every((layer) => isTarType(layer) || dockerLayer.test(typeOf(layer))),
  list: ({ layers }) => ({
    files: [],
    tars: layers.map((layer) => ({ ...tarAtRoot(layer), overlay: true })),
  }),
};
