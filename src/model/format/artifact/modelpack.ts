import type { Descriptor } from "../../../oci/descriptor.ts";
import {
  type ArtifactContents,
  type ArtifactFormat,
  annotationOf,
  plainType,
  rawFile,
  tarAtRoot,
  typeOf,
  withoutPath,
} from "./contents.ts";

/** Layer annotations with a file's path: ModelPack's, the one from before it moved to the CNCF, and OCI's. */
export const pathAnnotations = [
  "org.cncf.model.filepath",
  "org.cnai.model.filepath",
  "org.opencontainers.image.title",
] as const;

/** Whether a layer's media type ends in `.tar`, alone or compressed. */
export const isTarType = (layer: Descriptor): boolean =>
  /[./]tar(?:[.+](?:gzip|zstd))?$/.test(typeOf(layer));

/** Files as layers with a path, and tar archives unpacked at the root: what several formats share. */
export function listLayers(layers: readonly Descriptor[], on: string): ArtifactContents {
  const contents: ArtifactContents = { files: [], tars: [] };
  for (const layer of layers) {
    if (isTarType(layer)) {
      contents.tars.push(tarAtRoot(layer));
      continue;
    }
    const path = annotationOf(layer, ...pathAnnotations);
    if (path === undefined) throw withoutPath(layer, on, `annotation "${pathAnnotations[0]}"`);
    contents.files.push({
      ...rawFile(path, layer, on),
      maybeCompressed: /\+(?:gzip|zstd)$/.test(typeOf(layer)),
    });
  }
  return contents;
}

/** Artifact types of ModelPack, today's and the one before. */
export const modelPackTypes: ReadonlySet<string> = new Set([
  "application/vnd.cncf.model.manifest.v1+json",
  "application/vnd.cnai.model.manifest.v1+json",
]);

/**
 * ModelPack (github.com/modelpack/model-spec), as modctl, KitOps, AIKit and Docker Model Runner write it,
 * with the media types from before it moved to the CNCF.
 */
export const modelPack: ArtifactFormat = {
  name: "modelpack",
  title: "ModelPack",
  needsConfig: false,
  matches: ({ artifactType, config }) =>
    modelPackTypes.has(plainType(artifactType)) ||
    /^application\/vnd\.(?:cncf|cnai)\.model\.config\.v1\+json$/.test(typeOf(config)),
  list: ({ layers }, { on }) => listLayers(layers, on),
};
