import * as v from "valibot";
import { parseManifest } from "../../oci/manifest-sizes.ts";
import { OcibundleError } from "../../errors.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { digestOf, shortDigest } from "../../oci/digest.ts";
import { maxManifestBytes } from "../../oci/document.ts";
import { ArtifactManifestSchema, type RawManifest } from "../../oci/manifest.ts";
import { essenceOf, mediaTypes } from "../../oci/media-types.ts";
import { annotationKeys, weightsArtifactType } from "./annotations.ts";
import { goJson } from "./go-json.ts";
import { below, sharedDirectory } from "./shared-directory.ts";
import {
  layerTypes,
  parseEntries,
  quoted,
  sortedByName,
  type WeightEntry,
} from "./weight-entry.ts";

/** The config of a weights artifact: image-spec v1.1, manifest.md#guidance-for-an-empty-descriptor. */
export const emptyConfigBytes = new TextEncoder().encode("{}");

/** The descriptor of the empty config, `{}`. */
export const emptyConfig = {
  mediaType: mediaTypes.ociEmpty,
  digest: digestOf(emptyConfigBytes),
  size: emptyConfigBytes.byteLength,
} as const;

/**
 * The manifest of a weights artifact (docs/format.md): a pure function of the entries, so that the
 * same weights have the same digest whatever they are bundled with. Layers are sorted by name.
 *
 * Layers that are a file as it is have a title, its path below the directory that all dests share, so that
 * tools that know titles and nothing else (oras, CRI-O) write the files. Without `titles` it is the manifest
 * that was written before there were any. Titles are left out where a manifest with them is too large.
 *
 * Throws `file` when there are so many files that registries would refuse the manifest.
 */
export function weightsManifest(
  entries: readonly WeightEntry[],
  { titles = true, config = emptyConfig }: ManifestOptions = {},
): RawManifest {
  const titled = manifestBytes(entries, titles, config);
  const fits = !titles || titled.byteLength <= maxManifestBytes;
  const bytes = fits ? titled : manifestBytes(entries, false, config);
  if (bytes.byteLength > maxManifestBytes) {
    throw new OcibundleError(
      "file",
      `${entries.length} weight files make a manifest of ${bytes.byteLength} bytes; registries accept at most ${maxManifestBytes}`,
      {
        hint: `about ${fitting(entries.length, bytes.byteLength)} such files fit; pack the small files into one archive, and lock the archive`,
      },
    );
  }
  return { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
}

interface ManifestOptions {
  titles?: boolean;
  /** The recipe of weights that are split: who has a version of them fetches only what is new. */
  config?: Config | undefined;
}

type Config = Pick<Descriptor, "mediaType" | "digest" | "size">;

function manifestBytes(
  entries: readonly WeightEntry[],
  titles: boolean,
  config: Config,
): Uint8Array {
  const directory = sharedDirectory(entries.map(({ dest }) => dest));
  return goJson({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: weightsArtifactType,
    config,
    layers: sortedByName(entries).map((entry) => ({
      mediaType: entry.mediaType,
      digest: entry.digest,
      size: entry.size,
      annotations: {
        [annotationKeys.weightName]: entry.name,
        [annotationKeys.weightDest]: entry.dest,
        [annotationKeys.weightDigestOriginal]: entry.digestOriginal,
        [annotationKeys.weightSizeUncompressed]: String(entry.sizeUncompressed),
        // What is compressed must not get the name of what it was: oras would write it under that.
        ...(titles && entry.mediaType === layerTypes.none && entry.digest === entry.digestOriginal
          ? { [annotationKeys.title]: below(directory, entry.dest) }
          : {}),
      },
    })),
  });
}

const weightsLayerTypes: ReadonlySet<string> = new Set(Object.values(layerTypes));

/**
 * Whether a manifest by itself is a weights artifact. Cog's own has no artifact type, since only its index
 * says what it is: one without is known by its layers.
 */
export const isWeightsManifest = ({
  artifactType,
  layers,
}: {
  artifactType?: string | undefined;
  layers: readonly Descriptor[];
}): boolean =>
  essenceOf(artifactType ?? "") === weightsArtifactType ||
  ((artifactType ?? "") === "" &&
    layers.length > 0 &&
    layers.every(({ mediaType }) => weightsLayerTypes.has(essenceOf(mediaType))));

/** How many entries of the same average size fit into a manifest. */
const fitting = (entries: number, bytes: number): number =>
  Math.floor(entries * (maxManifestBytes / bytes));

/**
 * The entries of a weights artifact, in the order of its layers; `on` names it in messages. A config
 * of any media type is allowed, or none. A layer that is stored as it is need not say its original digest and
 * size. Throws `file`, naming the entry and the rule that it breaks.
 */
export function parseWeightsManifest(raw: RawManifest, on = "weights artifact"): WeightEntry[] {
  const { layers } = parseManifest(raw, ArtifactManifestSchema, on);
  return parseEntries(
    layers.map((layer) => readLayer(layer, on)),
    on,
  );
}

const DecimalSchema = v.pipe(v.string(), v.regex(/^(?:0|[1-9]\d{0,15})$/), v.transform(Number));

function readLayer(layer: Descriptor, on: string): Record<keyof WeightEntry, unknown> {
  const { digest, size, annotations = {} } = layer;
  const mediaType = essenceOf(layer.mediaType);
  const required = (key: string): string => {
    const value = annotations[key];
    if (value !== undefined) return value;
    const name = annotations[annotationKeys.weightName];
    const label = name === undefined ? `layer ${shortDigest(digest)}` : `entry ${quoted(name)}`;
    throw new OcibundleError("file", `${on}: ${label}: annotation "${key}" is missing`);
  };
  const ofFile = <T>(key: string, ofBlob: T): string | T =>
    mediaType === layerTypes.none ? (annotations[key] ?? ofBlob) : required(key);

  const name = required(annotationKeys.weightName);
  const dest = required(annotationKeys.weightDest);
  const digestOriginal = ofFile(annotationKeys.weightDigestOriginal, digest);
  const said = ofFile(annotationKeys.weightSizeUncompressed, String(size));
  const sizeUncompressed = v.safeParse(DecimalSchema, said);
  if (!sizeUncompressed.success) {
    throw new OcibundleError(
      "file",
      `${on}: entry ${quoted(name)}: the annotation "${annotationKeys.weightSizeUncompressed}" must be a number of bytes, not ${quoted(said)}`,
    );
  }
  return {
    name,
    dest,
    digestOriginal,
    digest,
    size,
    sizeUncompressed: sizeUncompressed.output,
    mediaType,
  };
}
