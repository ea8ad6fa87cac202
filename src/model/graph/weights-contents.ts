import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import { type IndexEntries, parseIndexEntries } from "../../oci/index-entries.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { isIndexType, isManifestType } from "../../oci/media-types.ts";
import { recognise } from "../format/artifact/recognise.ts";
import { isWeightsManifest } from "../format/weights-artifact.ts";
import { isPartsManifest } from "../parts/parts-artifact.ts";
import { machinePlatform } from "../session/machine-platform.ts";
import { maxGraphBytes } from "./content-graph.ts";
import { readChild } from "./read-child.ts";
import { chooseImage } from "./image-choice.ts";
import { isImage, isWeights, passOver, weightsEntries } from "./weights-of-index.ts";
import { type WeightsContents, readContents, manifestOf } from "./manifest-contents.ts";

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
