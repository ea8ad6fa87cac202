import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { shortDigest } from "../../oci/digest.ts";
import { parseManifest } from "../../oci/manifest-sizes.ts";
import {
  type IndexEntries,
  parseIndexEntries,
  type UnreadableEntry,
  unreadableText,
} from "../../oci/index-entries.ts";
import { ImageIndexSchema, type RawManifest } from "../../oci/manifest.ts";
import { isIndexType, isManifestType } from "../../oci/media-types.ts";
import {
  formatWithVersion,
  isKnownPlatform,
  matchesPlatform,
  type Platform,
} from "../../oci/platform.ts";
import { readChild } from "./read-child.ts";
import { entryType, isLaterWeights, modelIndex } from "../format/model-index.ts";
import { chooseImage, describeAll } from "./image-choice.ts";
import { describeImage, isAttestation, isUndeclared } from "./image-entry.ts";

/** The image of a model as its source has it, narrowed to what is to be kept. */
export interface ModelImage {
  /**
   * The manifest or index that stands for the image alone: as it is in the source, or where that index
   * has weights or other platforms too, an index of what is kept.
   */
  root: RawManifest;
  /** Index entries of the images, each with its platform. */
  images: Descriptor[];
  /** Other entries of the source's index (attestations of the images that are kept), as they are. */
  kept: Descriptor[];
  /** Of the source's index. */
  annotations?: Record<string, string> | undefined;
  /** Entries of the source's index that are neither kept nor images nor weights, for messages. */
  leftOut?: Descriptor[];
  /** Entries of the source's index that can't be read, and so are not kept, for messages. */
  unreadable?: UnreadableEntry[];
}

/**
 * Reads an image from a source: a single manifest, or an index with all its platforms or the one
 * asked for. A weights entry of a source that is itself a bundle is left out.
 *
 * `takesLone`: nobody asked for that platform, so an index's only image will do if nothing says what it is for.
 *
 * Throws `not_found` when `platform` is not among them, `file` when the root is no image.
 */
export async function readModelImage(
  reader: ContentReader,
  root: RawManifest,
  platform: Platform | undefined,
  signal: AbortSignal,
  { takesLone = false }: { takesLone?: boolean } = {},
): Promise<ModelImage> {
  if (isManifestType(root.mediaType)) {
    const entry = await describeImage(reader, root, signal);
    const own = entry.platform ?? { os: "unknown", architecture: "unknown" };
    if (platform !== undefined && !matchesPlatform(own, platform)) {
      throw lacksPlatform(reader.name, platform, [own]);
    }
    return { root, images: [entry], kept: [] };
  }
  if (!isIndexType(root.mediaType)) {
    throw new OcibundleError("file", `${reader.name}: "${root.mediaType}" is not an image`, {
      hint: "use an OCI or Docker image, or an index of images",
    });
  }
  const on = `${reader.name}: index`;
  return platform === undefined
    ? allPlatforms(reader, root, on, signal)
    : onePlatform(reader, parseIndexEntries(root, on), platform, signal, takesLone);
}

async function allPlatforms(
  reader: ContentReader,
  root: RawManifest,
  on: string,
  signal: AbortSignal,
): Promise<ModelImage> {
  const { index, unreadable } = parseIndexEntries(root, on);
  const { manifests, annotations } = index;
  const images = manifests.filter((entry) => entryType(entry) === "image");
  const others = manifests.filter((entry) => entryType(entry) === "other");
  const kept = others.filter((entry) => !isLaterWeights(entry));
  const hasWeights = images.length + kept.length < manifests.length;
  const asImage = async (parts: Pick<ModelImage, "images" | "kept">): Promise<ModelImage> => {
    const all = { ...parts, annotations };
    // An index of its own, which does not have what can't be read.
    if (hasWeights) return { root: await standalone(reader, all, signal), ...all, unreadable };
    // As it is: with all that it lists.
    parseManifest(root, ImageIndexSchema, on);
    return { root, ...all };
  };
  if (images.length === 0) {
    // Some builders write an index of one manifest or index and no platform: that knows it.
    const [only, ...more] = kept.filter(isUndeclared);
    if (only !== undefined && more.length === 0) {
      const child = await readChild(reader, only, signal);
      return readModelImage(reader, child, undefined, signal);
    }
    const described = await describeAll(reader, kept.filter(isUndeclared), signal);
    if (described.length === 0) {
      throw new OcibundleError("file", `${reader.name}: the index has no image`);
    }
    const digests = new Set(described.map(({ digest }) => digest));
    const rest = kept.filter(({ digest }) => !digests.has(digest));
    return asImage({ images: described, kept: rest });
  }
  return asImage({ images, kept });
}

async function onePlatform(
  reader: ContentReader,
  entries: IndexEntries,
  platform: Platform,
  signal: AbortSignal,
  takesLone: boolean,
): Promise<ModelImage> {
  const { index, unreadable } = entries;
  const { chosen, platforms } = await chooseImage(reader, entries, platform, signal, takesLone);
  if (chosen === undefined) throw lacksPlatform(reader.name, platform, platforms);
  const { annotations } = index;
  const images = [chosen.entry];
  const kept = chosen.attestations;
  const leftOut = index.manifests.filter(
    (entry) =>
      entryType(entry) === "other" &&
      !isLaterWeights(entry) &&
      !isAttestation(entry) &&
      !isUndeclared(entry),
  );
  const root = await standalone(reader, { images, kept, annotations }, signal);
  return { root, images, kept, annotations, leftOut, unreadable };
}

/** A single manifest stands for itself; more need an index. */
export function standalone(
  reader: ContentReader,
  { images, kept, annotations }: Pick<ModelImage, "images" | "kept" | "annotations">,
  signal: AbortSignal,
): Promise<RawManifest> | RawManifest {
  const [only, ...more] = images;
  return only !== undefined && more.length === 0 && kept.length === 0
    ? readChild(reader, only, signal)
    : modelIndex({ images, kept, annotations });
}

function lacksPlatform(name: string, wanted: Platform, platforms: readonly Platform[]) {
  const known = [...new Set(platforms.filter(isKnownPlatform).map(formatWithVersion))];
  return new OcibundleError("not_found", `${name}: no image for ${formatWithVersion(wanted)}`, {
    hint: known.length === 0 ? "the index has no platforms" : `it has ${known.join(", ")}`,
  });
}

/** What was left out of a model that was narrowed to a platform, as a warning; undefined for nothing. */
export function leftOutWarning({ leftOut = [], unreadable = [] }: ModelImage): string | undefined {
  const unread = unreadableText(unreadable);
  const said = [
    ...(unread === undefined ? [] : [`skipped, ${unread}`]),
    ...(leftOut.length === 0
      ? []
      : [`skipped, not marked as part of the image: ${shownOf(leftOut)}`]),
  ];
  return said.length === 0 ? undefined : said.join("; ");
}

function shownOf(entries: readonly Descriptor[]): string {
  const shown = entries
    .slice(0, 5)
    .map(
      ({ digest, artifactType, mediaType }) =>
        `${artifactType ?? mediaType} ${shortDigest(digest)}`,
    );
  const more = entries.length > shown.length ? `, and ${entries.length - shown.length} more` : "";
  return `${shown.join(", ")}${more}`;
}
