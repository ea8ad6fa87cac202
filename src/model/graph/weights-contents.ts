import { OcibundleError } from "../../errors.ts";
import { posix } from "node:path";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import { type IndexEntries, parseIndexEntries } from "../../oci/index-entries.ts";
import { type ImageManifest, type RawManifest } from "../../oci/manifest.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import { isIndexType, isManifestType } from "../../oci/media-types.ts";
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
import { machinePlatform } from "../session/machine-platform.ts";
import { maxGraphBytes } from "./content-graph.ts";
import { readChild } from "./read-child.ts";
import { chooseImage } from "./image-choice.ts";
import { isImage, isWeights, passOver, weightsEntries } from "./weights-of-index.ts";

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

/** How weights are read. */
export interface ReadContentsOptions {
  /** Whether an image is read in place of weights. */
  forImage?: boolean;
  /** Of the index that is read, below the root. */
  depth?: number;
  /** Without it, an entry that can't be read is an error. */
  onPassed?: ((message: string) => void) | undefined;
}

/**
 * All weights behind a root: its own, or those of the entries of an index. With `forImage` the image of this machine's
 * platform counts in place of the weights. `onPassed` is told of entries that can't be read and are passed over: where
 * others are marked as weights, and these are not. Throws `not_found` where there are none, `file` where their
 * manifests are too large together or can't be understood, and as `readChild`.
 */
export async function readAllContents(
  reader: ContentReader,
  root: RawManifest,
  signal: AbortSignal,
  { forImage = false, depth = 0, onPassed }: ReadContentsOptions = {},
): Promise<WeightsContents[]> {
  if (!isIndexType(root.mediaType)) return [await readContents(reader, root, undefined, signal)];
  const listed = parseIndexEntries(root, reader.name);
  const { index } = listed;
  const entries = forImage ? await imageEntries(reader, listed, signal) : weightsEntries(index);
  passOver(reader.name, listed, {
    isMarked: forImage || index.manifests.some(isWeights),
    onPassed,
  });
  if (entries.length === 0) {
    throw new OcibundleError(
      "not_found",
      `${reader.name} has no ${forImage ? "image" : "weights"}`,
      {
        hint: index.manifests.some(isImage)
          ? "use --path to pull files of an image, such as `--path /models`"
          : "run `ocibundle inspect` to see its content",
      },
    );
  }
  // All of them are kept in memory until the last file is in its place.
  const bytes = entries.reduce((sum, { size }) => sum + size, 0);
  if (bytes > maxGraphBytes) {
    throw new OcibundleError("file", `more than ${maxGraphBytes} bytes of weights manifests`, {
      subject: reader.name,
      hint: "pull one of its weights artifacts by digest; `ocibundle inspect` lists them",
    });
  }
  const contents: WeightsContents[] = [];
  for (const entry of entries) {
    const raw = await readChild(reader, entry, signal);
    const isNested = isIndexType(raw.mediaType);
    if (isNested && depth === maxNesting) {
      throw new OcibundleError(
        "file",
        `${reader.name}: index ${shortDigest(raw.digest)}: indexes are nested more than ${maxNesting + 1} levels deep`,
        { hint: "pull its weights by their digest; `ocibundle inspect` lists them" },
      );
    }
    contents.push(
      ...(isNested
        ? await readAllContents(reader, raw, signal, { forImage, depth: depth + 1, onPassed })
        : [await readContents(reader, raw, entry, signal)]),
    );
  }
  return contents;
}

/** An index in an index in an index: none that is meant seriously is deeper. */
const maxNesting = 3;

async function imageEntries(
  reader: ContentReader,
  listed: IndexEntries,
  signal: AbortSignal,
): Promise<Descriptor[]> {
  const { chosen } = await chooseImage(reader, listed, machinePlatform(), signal);
  const { index } = listed;
  const image = chosen?.entry ?? index.manifests.find(isImage);
  return image === undefined ? [] : [image];
}

/**
 * What a manifest has of weights. `entry` is the entry of the index that led to it. Throws `not_found` for
 * a manifest of no known format, `file` for a faulty one.
 */
async function readContents(
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

/**
 * Weights in other formats than the bundle's, among a root and its children, by their digests. What is of
 * no known format, or faulty, is not among them, and `onFault` is told why.
 */
export async function readForeign(
  reader: ContentReader,
  { root, children }: { root: RawManifest; children: readonly RawManifest[] },
  signal: AbortSignal,
  onFault: (error: OcibundleError) => void,
): Promise<Map<Digest, WeightsContents>> {
  const entries = isIndexType(root.mediaType)
    ? parseIndexEntries(root, reader.name).index.manifests
    : [];
  const found = new Map<Digest, WeightsContents>();
  for (const raw of [root, ...children]) {
    if (!isManifestType(raw.mediaType)) continue;
    const entry = entries.find(({ digest }) => digest === raw.digest);
    try {
      const manifest = manifestOf(raw, reader.name);
      if (isWeightsManifest(manifest)) continue;
      const format = isPartsManifest(manifest) ? "parts" : recognise(manifest)?.name;
      // An image has weights only for who names a directory of it.
      if (format === undefined || format === "image") continue;
      if (entry !== undefined && !isWeights(entry) && entries.length > 1) continue;
      found.set(raw.digest, await readContents(reader, raw, entry, signal));
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof OcibundleError) || error.code === "network") throw error;
      onFault(error);
    }
  }
  return found;
}

/** What formats look at. Artifacts of other kinds may have no config, or one that is null. */
function manifestOf(raw: RawManifest, on: string): ImageManifest {
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
