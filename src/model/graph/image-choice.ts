import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { shortDigest } from "../../oci/digest.ts";
import { type IndexEntries, parseIndexEntries, unreadableText } from "../../oci/index-entries.ts";
import { isIndexType } from "../../oci/media-types.ts";
import {
  bestForPlatform,
  isKnownPlatform,
  matchesPlatform,
  type Platform,
} from "../../oci/platform.ts";
import { readChild } from "./read-child.ts";
import { describeImage, isAttestation, isUndeclared } from "./image-entry.ts";
import { entryType, isLaterWeights } from "../format/model-index.ts";

/** An image in an index, or in an index that this one lists for its platform. */
export interface ImageCandidate {
  /** With its platform. */
  entry: Descriptor;
  /** What is attested of it, beside it. */
  attestations: Descriptor[];
}

/** The image for a platform, where there is one. */
export interface ImageChoice {
  chosen: ImageCandidate | undefined;
  /** Every platform that is listed. */
  platforms: Platform[];
}

// As deep as graphs are read (content-graph.ts).
const maxDepth = 4;

/** Images whose platform only their config tells are looked at one by one: at most so many. */
const maxConfigs = 50;

/**
 * Finds the image for a platform in an index, also in indexes that it lists for a platform, as buildx
 * writes them. Only what may be the image is read, so that the rest need not be there.
 *
 * With `takesLone`, an image that is alone and says no platform, in its config neither, is taken.
 *
 * Throws `not_found` where an index that may have it is missing and no other has it, `file` where an entry that may
 * be it can't be read, and what stands against reading that only image.
 */
export async function chooseImage(
  reader: ContentReader,
  index: IndexEntries,
  wanted: Platform,
  signal: AbortSignal,
  takesLone = false,
): Promise<ImageChoice> {
  const candidates: ImageCandidate[] = [];
  const undeclared: ImageCandidate[] = [];
  const platforms: Platform[] = [];
  let missing: OcibundleError | undefined;

  const collect = async (
    { index: { manifests }, unreadable }: IndexEntries,
    inherited: Platform | undefined,
    depth: number,
  ): Promise<void> => {
    const text = unreadableText(unreadable);
    if (text !== undefined)
      missing ??= new OcibundleError("file", `${reader.name}: index: ${text}`);
    for (const entry of manifests) {
      if (entryType(entry) === "weights" || isLaterWeights(entry) || isAttestation(entry)) continue;
      const platform = isKnownPlatform(entry.platform)
        ? entry.platform
        : isUndeclared(entry)
          ? inherited
          : undefined;
      if (platform !== undefined) platforms.push(platform);
      if (isIndexType(entry.mediaType)) {
        if (platform !== undefined && !matchesPlatform(platform, wanted)) continue;
        if (depth === maxDepth) {
          missing ??= new OcibundleError(
            "file",
            `${reader.name}: index ${shortDigest(entry.digest)}: indexes are nested more than ${maxDepth} levels deep`,
            { hint: "specify the image by its digest" },
          );
          continue;
        }
        const inner = await readIndexOrMiss(entry);
        if (inner !== undefined) await collect(inner, platform, depth + 1);
        continue;
      }
      const attestations = attestationsOf(entry, manifests);
      if (platform !== undefined) {
        candidates.push({ entry: { ...entry, platform }, attestations });
      } else if (isUndeclared(entry)) undeclared.push({ entry, attestations });
    }
  };

  const readIndexOrMiss = async (entry: Descriptor): Promise<IndexEntries | undefined> => {
    try {
      const child = await readChild(reader, entry, signal);
      return parseIndexEntries(child, `${reader.name}: index`);
    } catch (error) {
      if (!(error instanceof OcibundleError) || error.code !== "not_found") throw error;
      missing ??= error;
      return undefined;
    }
  };

  await collect(index, undefined, 1);
  const find = (among: readonly ImageCandidate[]): ImageCandidate | undefined =>
    bestForPlatform(
      among.map((candidate) => ({ candidate, platform: candidate.entry.platform })),
      wanted,
    )?.candidate;
  let chosen = find(candidates);
  if (chosen === undefined && undeclared.length > 0) {
    const entries = undeclared.map(({ entry }) => entry);
    const described = await describeAll(reader, entries, signal);
    platforms.push(...described.flatMap(({ platform }) => platform ?? []));
    const all = described.map((entry) => ({
      entry,
      attestations:
        undeclared.find((other) => other.entry.digest === entry.digest)?.attestations ?? [],
    }));
    chosen = find(all);
  }
  const [only, ...more] = undeclared;
  // The only image, of which nothing says what it runs on: it is the one that is meant.
  const isLone =
    only !== undefined && more.length + platforms.length === 0 && missing === undefined;
  if (takesLone && isLone) {
    const child = await readChild(reader, only.entry, signal);
    await describeImage(reader, child, signal);
    chosen = only;
  }
  if (chosen === undefined && missing !== undefined) throw missing;
  return { chosen, platforms };
}

/** What builders attest of an image stands beside it and names it. */
const attestationsOf = (image: Descriptor, entries: readonly Descriptor[]): Descriptor[] =>
  entries.filter(
    (entry) =>
      isAttestation(entry) && entry.annotations?.["vnd.docker.reference.digest"] === image.digest,
  );

/**
 * The images among entries that say no platform, with that of their config; what is missing or no image is passed
 * over.
 */
export async function describeAll(
  reader: ContentReader,
  entries: readonly Descriptor[],
  signal: AbortSignal,
): Promise<Descriptor[]> {
  const described: Descriptor[] = [];
  for (const entry of entries.slice(0, maxConfigs)) {
    try {
      const child = await readChild(reader, entry, signal);
      const { platform } = await describeImage(reader, child, signal);
      if (platform !== undefined) described.push({ ...entry, platform });
    } catch (error) {
      signal.throwIfAborted();
      const passedOver =
        error instanceof OcibundleError && ["not_found", "file"].includes(error.code);
      if (!passedOver) throw error;
    }
  }
  return described;
}
