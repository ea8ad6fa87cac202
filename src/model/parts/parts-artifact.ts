import { OcibundleError } from "../../errors.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, digestOf, shortDigest } from "../../oci/digest.ts";
import { type ImageManifest, type RawManifest } from "../../oci/manifest.ts";
import { maxManifestBytes } from "../../oci/document.ts";
import { essenceOf, mediaTypes } from "../../oci/media-types.ts";
import { partsArtifactType } from "../format/annotations.ts";
import { goJson } from "../format/go-json.ts";
import { layerTypes, quoted, Sha256Schema } from "../format/weight-entry.ts";
import * as v from "valibot";
import { parseRecipe, type Part, type Recipe, recipeType } from "./recipe.ts";

/** The media type of a layer that is a part as it is. */
const partType = "application/vnd.ocibundle.weights.part.v1";

/**
 * How a part is stored: as it is, as a zstd stream, or as byte planes of elements of two or four bytes, the
 * planes that compress as zstd.
 */
export type PartEncoding = "none" | "gzip" | "zstd" | "bp2.zstd" | "bp4.zstd";

/** Annotations of a layer that is a part in another form. */
const partAnnotations = {
  digestOriginal: "vnd.ocibundle.part.digest.original",
  sizeOriginal: "vnd.ocibundle.part.size.original",
} as const;

/** By the media type of a layer; a file that is not split is stored as in a plain artifact. */
const encodings: ReadonlyMap<string, PartEncoding> = new Map([
  [partType, "none"],
  [`${partType}+zstd`, "zstd"],
  [`${partType}+bp2.zstd`, "bp2.zstd"],
  [`${partType}+bp4.zstd`, "bp4.zstd"],
  [layerTypes.none, "none"],
  [layerTypes.gzip, "gzip"],
  [layerTypes.zstd, "zstd"],
]);

/** A part and the blob that stores it. */
export interface StoredPart {
  /** Of its original bytes. */
  digest: Part[0];
  /** Of its original bytes. */
  size: number;
  encoding: PartEncoding;
  /** The blob that stores it. */
  stored: { digest: Digest; size: number };
}

/** A part that is stored as it is. */
export const asItIs = ([digest, size]: Part): StoredPart => ({
  digest,
  size,
  encoding: "none",
  stored: { digest, size },
});

/** The blob of a part as it is asked for. */
export const blobOfPart = ({ encoding, stored }: StoredPart): Descriptor => ({
  mediaType: encoding === "none" ? partType : `${partType}+${encoding}`,
  ...stored,
});

/** Weights in parts, as a manifest has them. */
export interface PartsArtifact {
  recipe: Recipe;
  /** One for each part of the recipe, in its order. */
  parts: StoredPart[];
}

/** Whether a manifest is weights in parts: by its artifact type, or by a recipe where there is no other type. */
export const isPartsManifest = ({
  artifactType,
  config,
}: {
  artifactType?: string | undefined;
  config?: Pick<Descriptor, "mediaType"> | undefined;
}): boolean =>
  essenceOf(artifactType ?? "") === partsArtifactType ||
  ((artifactType ?? "") === "" && config !== undefined && hasRecipe({ config }));

/** Whether a manifest's config is a recipe; that of plain weights may be one too. */
export const hasRecipe = ({ config }: { config: Pick<Descriptor, "mediaType"> }): boolean =>
  essenceOf(config.mediaType) === recipeType;

/** Weights in parts, from a manifest and the bytes of its config. Throws `file`, naming the rule that is broken. */
export function parsePartsArtifact(
  manifest: Pick<ImageManifest, "config" | "layers">,
  config: Uint8Array,
  on: string,
): PartsArtifact {
  if (!hasRecipe(manifest)) {
    throw new OcibundleError(
      "file",
      `${on}: weights in parts, but the config ${quoted(manifest.config.mediaType)} is not a recipe`,
      { hint: pushAgain },
    );
  }
  const recipe = parseRecipe(config, on);
  return { recipe, parts: matchParts(recipe.parts, manifest.layers, on) };
}

/**
 * The layer of each part: the one with its digest, or the one that says to be another form of it. Layers that
 * are no parts are passed over. Throws `file` for a part without a layer, and for sizes that differ.
 */
function matchParts(parts: readonly Part[], layers: readonly Descriptor[], on: string) {
  const stored = new Map<string, StoredPart>();
  for (const layer of layers) {
    const part = partOf(layer, on);
    // One that can be written as it comes is preferred.
    if (part !== undefined && (part.encoding === "none" || !stored.has(part.digest))) {
      stored.set(part.digest, part);
    }
  }
  return parts.map(([digest, size]) => {
    const part = stored.get(digest);
    if (part === undefined) throw withoutLayer(digest, layers, on);
    if (part.size === size) return part;
    throw new OcibundleError(
      "file",
      `${on}: part ${shortDigest(digest)} has ${part.size} bytes in its layer and ${size} in the recipe`,
      { hint: pushAgain },
    );
  });
}

const pushAgain = "push it again";

/** Why a part has no layer: a later version may store it in a form that is not known here. */
function withoutLayer(digest: Part[0], layers: readonly Descriptor[], on: string): OcibundleError {
  const unknown = layers.find(
    ({ mediaType, annotations }) =>
      annotations?.[partAnnotations.digestOriginal] === digest &&
      !encodings.has(essenceOf(mediaType)),
  );
  const part = `part ${shortDigest(digest)}`;
  return unknown === undefined
    ? new OcibundleError("file", `${on}: the recipe lists ${part}, which is not among the layers`, {
        hint: pushAgain,
      })
    : new OcibundleError(
        "file",
        `${on}: ${part} is stored as ${quoted(unknown.mediaType)}, which is not supported`,
        { hint: "update ocibundle" },
      );
}

/** No encoder makes more of a part, in bytes: more would be fetched for nothing. */
const mostStored = (size: number): number => 2 * size + 65_536;

const blobOf = ({ digest, size }: Descriptor) => ({ digest, size });

const DecimalSchema = v.pipe(v.string(), v.regex(/^(?:0|[1-9]\d{0,15})$/), v.transform(Number));

function partOf(layer: Descriptor, on: string): StoredPart | undefined {
  const encoding = encodings.get(essenceOf(layer.mediaType));
  if (encoding === undefined) return undefined;
  const said = layer.annotations?.[partAnnotations.digestOriginal];
  if (encoding === "none") {
    if (!v.is(Sha256Schema, layer.digest) || (said ?? layer.digest) !== layer.digest)
      return undefined;
    return { digest: layer.digest, size: layer.size, encoding, stored: blobOf(layer) };
  }
  // Without its original digest nothing says which part it is.
  if (said === undefined) return undefined;
  const size = v.safeParse(DecimalSchema, layer.annotations?.[partAnnotations.sizeOriginal]);
  const label = `layer ${shortDigest(layer.digest)}`;
  if (!v.is(Sha256Schema, said)) {
    throw new OcibundleError(
      "file",
      `${on}: ${label}: the annotation "${partAnnotations.digestOriginal}" must be a digest, not ${quoted(said)}`,
      { hint: pushAgain },
    );
  }
  if (!size.success || !Number.isSafeInteger(size.output)) {
    throw new OcibundleError(
      "file",
      `${on}: ${label}: the annotation "${partAnnotations.sizeOriginal}" must be a number of bytes`,
      { hint: pushAgain },
    );
  }
  if (layer.size > mostStored(size.output)) {
    throw new OcibundleError(
      "file",
      `${on}: ${label}: ${layer.size} bytes are too large for a part of ${size.output} bytes`,
      { hint: pushAgain },
    );
  }
  return { digest: said, size: size.output, encoding, stored: blobOf(layer) };
}

/**
 * The layer of a part as it is stored. `whole`: whether the part is a file that is not split.
 */
export function partLayer(
  { digest, size, encoding, stored }: StoredPart,
  { whole }: { whole: boolean },
): Descriptor {
  const base = whole ? layerTypes.none : partType;
  if (encoding === "none") return { mediaType: base, ...stored };
  return {
    mediaType: `${base}+${encoding}`,
    ...stored,
    annotations: {
      [partAnnotations.digestOriginal]: digest,
      [partAnnotations.sizeOriginal]: String(size),
    },
  };
}

/**
 * The manifest of weights in parts: a pure function of the recipe and of how its parts are stored. `layers`
 * are in the order in which the recipe first uses them. Throws `file` where registries would refuse it.
 */
export function partsManifest(recipe: Uint8Array, layers: readonly Descriptor[]): RawManifest {
  const bytes = goJson({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: partsArtifactType,
    config: { mediaType: recipeType, digest: digestOf(recipe), size: recipe.byteLength },
    layers,
  });
  if (bytes.byteLength <= maxManifestBytes) {
    return { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
  }
  throw new OcibundleError(
    "file",
    `${layers.length} parts make a manifest of ${bytes.byteLength} bytes; registries accept at most ${maxManifestBytes}`,
  );
}
