import { OcibundleError } from "../../../errors.ts";
import type { ImageManifest } from "../../../oci/manifest.ts";
import { laterWeightsArtifactType } from "../annotations.ts";
import { quoted } from "../weight-entry.ts";
import { cogSingle, cogWeight } from "./cog-weight.ts";
import type { ArtifactFormat } from "./contents.ts";
import { dockerModel } from "./docker-model.ts";
import { imageFiles } from "./image-files.ts";
import { modelKit, modelKitType } from "./modelkit.ts";
import { modelPack, modelPackTypes } from "./modelpack.ts";
import { ollama } from "./ollama.ts";
import { titled } from "./titled.ts";

/** Every format but the bundle's own, in the order in which they are tried: what says more comes first. */
const artifactFormats: readonly ArtifactFormat[] = [
  cogSingle,
  cogWeight,
  modelPack,
  dockerModel,
  modelKit,
  ollama,
  imageFiles,
  titled,
];

/** Artifact types by which an index says that an entry is weights. */
export const weightsTypes: ReadonlySet<string> = new Set([
  laterWeightsArtifactType,
  ...modelPackTypes,
  modelKitType,
]);

/** The format of a manifest, or undefined for one of none that is known. */
export const recognise = (manifest: ImageManifest): ArtifactFormat | undefined =>
  artifactFormats.find((format) => format.matches(manifest));

/** The most layer types that an error names. */
const shownTypes = 5;

/** The error for a manifest of no known format: what was found, and what is known. */
export function unknownFormat(manifest: ImageManifest, on: string): OcibundleError {
  const { artifactType, config, layers } = manifest;
  const types = [...new Set(layers.map(({ mediaType }) => quoted(mediaType)))];
  const more = types.length > shownTypes ? `, and ${types.length - shownTypes} more` : "";
  const found = [
    artifactType === undefined ? "no artifact type" : `artifact type ${quoted(artifactType)}`,
    `config ${quoted(config.mediaType)}`,
    types.length === 0 ? "no layers" : `layers ${types.slice(0, shownTypes).join(", ")}${more}`,
  ].join("; ");
  return new OcibundleError("not_found", `${on} has no weights in a known format: ${found}`, {
    hint: `supported formats: Cog bundle, ${artifactFormats.map((format) => format.title).join(", ")}`,
  });
}
