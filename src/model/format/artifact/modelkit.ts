import { type ArtifactFormat, plainType, typeOf } from "./contents.ts";
import { listLayers } from "./modelpack.ts";

/** The artifact type of a ModelKit, as KitOps writes it. */
export const modelKitType = "application/vnd.kitops.modelkit.manifest.v1+json";

/**
 * KitOps' ModelKit. Archives are relative to the whole kit's directory, whatever path the Kitfile gives
 * their part, so they are unpacked at the root; raw layers have a path of their own. Kits of version 1.7
 * and before have no artifact type: the config tells.
 */
export const modelKit: ArtifactFormat = {
  name: "modelkit",
  title: "KitOps ModelKit",
  needsConfig: false,
  matches: ({ artifactType, config, layers }) =>
    plainType(artifactType).startsWith("application/vnd.kitops.modelkit.") ||
    typeOf(config).startsWith("application/vnd.kitops.modelkit.") ||
    layers.some((layer) => typeOf(layer).startsWith("application/vnd.kitops.modelkit.")),
  list: ({ layers }, { on }) => listLayers(layers, on),
};
