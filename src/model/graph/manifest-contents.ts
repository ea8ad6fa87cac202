import { OcibundleError } from "../../errors.ts";
import { posix } from "node:path";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { ImageManifest, RawManifest } from "../../oci/manifest.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import { isManifestType } from "../../oci/media-types.ts";
import { readSmallBlob } from "../../store/small-blob.ts";
import {
  type ArtifactContents,
  type ArtifactFormat,
  distinct,
  type StoredTar,
} from "../format/artifact/contents.ts";
import { recognise, unknownFormat } from "../format/artifact/recognise.ts";
import { layerTypes, type WeightEntry, plainEntry } from "../format/weight-entry.ts";
import {
  emptyConfig,
  isWeightsManifest,
  parseWeightsManifest,
} from "../format/weights-artifact.ts";
import { parseRecipe, type Recipe } from "../parts/recipe.ts";
import {
  hasRecipe,
  isPartsManifest,
  type PartsArtifact,
  parsePartsArtifact,
} from "../parts/parts-artifact.ts";

/** The weights of one manifest, in whatever format. */
export interface WeightsContents {
  raw: RawManifest;
  /** One word, as in `--json`: `bundle`, `cog`, `modelpack`. */
  format: string;
  /** For people. */
  title: string;
  /** Files each of which is a blob. */
  entries: WeightEntry[];
  /** What has to be looked into to be a list of files. */
  packed: ArtifactContents;
  /** A recipe that plain weights have with them: files are blobs, and are made of these parts as well. */
  recipe?: Recipe;
  /** How the files are put together where no blob is a file: the entries' digests name none then. */
  parts?: PartsArtifact;
}

/**
 * What a manifest has of weights. `entry` is the entry of the index that led to it. Throws `not_found` for
 * a manifest of no known format, `file` for a faulty one.
 */
export async function readContents(
  reader: ContentReader,
  raw: RawManifest,
  entry: Descriptor | undefined,
  signal: AbortSignal,
): Promise<WeightsContents> {
  const on = reader.name;
  const manifest = manifestOf(raw, on);
  if (isWeightsManifest(manifest)) {
    const entries = parseWeightsManifest(raw, on).map(asCompressed);
    const packed = { files: [], tars: [] };
    const recipe = await readRecipe(reader, manifest, signal);
    return {
      raw,
      format: "bundle",
      title: "Cog bundle",
      entries,
      packed,
      ...(recipe === undefined ? {} : { recipe }),
    };
  }
  if (isPartsManifest(manifest)) {
    const parts = await readParts(reader, manifest, signal);
    const packed = { files: [], tars: [] };
    return { raw, format: "parts", title: "parts", entries: entriesOf(parts), packed, parts };
  }
  const format = recognise(manifest);
  if (format === undefined) throw unknownFormat(manifest, on);
  const config = format.needsConfig
    ? await readSmallBlob(reader, manifest.config, signal)
    : new Uint8Array(0);
  const { files, tars } = distinct(format.list(manifest, { config, entry, on }));
  return {
    raw,
    format: format.name,
    title: format.title,
    entries: files.filter((file) => !file.maybeCompressed).map(entryOfBlob),
    packed: { files: files.filter((file) => file.maybeCompressed), tars },
  };
}

/** A layer that is said to be the file and has another digest is gzip of it: so did Cog 0.17.0-alpha3 push. */
const asCompressed = (entry: WeightEntry): WeightEntry =>
  entry.mediaType === layerTypes.none && entry.digest !== entry.digestOriginal
    ? { ...entry, mediaType: layerTypes.gzip }
    : entry;

/** The recipe in the config of plain weights; one that can't be read is as good as none: they do not need it. */
async function readRecipe(
  reader: ContentReader,
  manifest: ImageManifest,
  signal: AbortSignal,
): Promise<Recipe | undefined> {
  if (!hasRecipe(manifest)) return undefined;
  try {
    return parseRecipe(await readSmallBlob(reader, manifest.config, signal), reader.name);
  } catch (error) {
    signal.throwIfAborted();
    if (
      error instanceof OcibundleError &&
      ["file", "not_found", "integrity"].includes(error.code)
    ) {
      return undefined;
    }
    throw error;
  }
}

async function readParts(
  reader: ContentReader,
  manifest: ImageManifest,
  signal: AbortSignal,
): Promise<PartsArtifact> {
  const config = await readSmallBlob(reader, manifest.config, signal);
  return parsePartsArtifact(manifest, config, reader.name);
}

/** Weights in parts, where a manifest is that. Throws `file`, `integrity`, `not_found` for what can't be read. */
export async function partsOfManifest(
  reader: ContentReader,
  raw: RawManifest,
  signal: AbortSignal,
): Promise<PartsArtifact | undefined> {
  if (!isManifestType(raw.mediaType)) return undefined;
  const manifest = manifestOf(raw, reader.name);
  return isPartsManifest(manifest) ? readParts(reader, manifest, signal) : undefined;
}

const entriesOf = ({ recipe }: PartsArtifact): WeightEntry[] => recipe.files.map(plainEntry);

/** What formats look at. Artifacts of other kinds may have no config, or one that is null. */
export function manifestOf(raw: RawManifest, on: string): ImageManifest {
  const { config = emptyConfig, layers, artifactType } = membersOf(raw, on);
  return { schemaVersion: 2, mediaType: raw.mediaType, config, layers, artifactType };
}

/** The files that an archive is said to have, as entries; each is stored in the archive's blob. */
export const expectedEntries = ({ expected, under, prefix, blob }: StoredTar): WeightEntry[] =>
  Array.from(expected ?? [], ([name, { digest, size }]) => ({
    name: `${prefix}${name}`,
    dest: posix.join(under, name),
    digestOriginal: digest,
    digest: blob.digest as WeightEntry["digest"],
    size,
    sizeUncompressed: size,
    mediaType: layerTypes.none,
  }));

const entryOfBlob = ({ name, dest, blob: { digest, size } }: FileOf): WeightEntry =>
  plainEntry({ name, dest, digest: digest as WeightEntry["digest"], size });

type FileOf = ReturnType<ArtifactFormat["list"]>["files"][number];
