import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { type ManifestMembers, membersOf } from "../../oci/manifest-members.ts";
import { isImageConfigType, isIndexType, isManifestType } from "../../oci/media-types.ts";
import { formatPlatform, isKnownPlatform } from "../../oci/platform.ts";
import { entryType, isLaterWeights } from "../format/model-index.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { isWeightsManifest, parseWeightsManifest } from "../format/weights-artifact.ts";
import { isPartsManifest } from "../parts/parts-artifact.ts";
import type { StoredPart } from "../parts/parts-artifact.ts";
import { isAttestation } from "./image-entry.ts";
import { expectedEntries, type WeightsContents } from "./manifest-contents.ts";
import type {
  ImageSummary,
  ModelSummary,
  OtherSummary,
  WeightsSummary,
} from "../../report/model.ts";

/** What a summary can't read from the manifests. */
export interface SummaryContext {
  /** The platform of an image for which no index gives one; null unless given. */
  platform?: string | null;
  /** Weights in other formats than the bundle's, by the digest of their manifest. */
  foreign?: ReadonlyMap<Digest, WeightsContents> | undefined;
  /** The blobs that are there: an index may list one beside its manifests. */
  blobs?: readonly { descriptor: Descriptor }[];
  /** Manifests that are there, and could not be read. */
  unread?: ReadonlySet<Digest>;
}

/**
 * Describes a manifest or index from its bytes and those of its children; one of them that is missing is
 * listed as the index describes it. Throws `file`.
 */
export function summarize(
  root: RawManifest,
  children: readonly RawManifest[],
  on: string,
  { platform = null, foreign = new Map(), blobs = [], unread = new Set() }: SummaryContext = {},
): ModelSummary {
  const members = membersOf(root, on, toldBefore);
  const { artifactType = null, config, layers } = members;
  const summary: ModelSummary = {
    type: "artifact",
    mediaType: root.mediaType,
    artifactType,
    digest: root.digest,
    size: root.bytes.byteLength,
    annotations: members.annotations,
    images: [],
    weights: null,
    moreWeights: [],
    others: [],
    content: null,
  };
  const foreignRoot = foreign.get(root.digest);
  const kind = kindOf(members);
  if (isIndexType(root.mediaType)) {
    const byDigest = new Map(children.map((child) => [child.digest, child]));
    const there = new Set([...unread, ...blobs.map(({ descriptor }) => descriptor.digest)]);
    const place = { on, foreign, there, platform: null, depth: 0 };
    addEntries(summary, members.manifests, byDigest, place);
    summary.type = summary.weights === null ? "index" : "bundle";
  } else if (foreignRoot !== undefined) {
    summary.type = "weights";
    summary.weights = foreignSummary(foreignRoot);
  } else if (kind === "weights") {
    summary.type = "weights";
    summary.weights = weightsSummary(root, on);
  } else if (kind === "image") {
    summary.type = "image";
    summary.images.push(imageSummary(root, platform, on));
  } else {
    summary.content = {
      config: config?.mediaType ?? null,
      layers: layers.map(({ digest, size, mediaType, annotations }) => ({
        digest,
        size,
        mediaType,
        title: annotations?.["org.opencontainers.image.title"] ?? null,
      })),
    };
  }
  return summary;
}

/** Entries that can't be read: who has read the graph was told of them, or refused. */
const toldBefore = (): void => undefined;

/** What a manifest is by itself. */
function kindOf({ config, layers, artifactType }: ManifestMembers): "image" | "weights" | "other" {
  if (isWeightsManifest({ artifactType, layers })) return "weights";
  const isImage = config !== undefined && isImageConfigType(config.mediaType);
  return isImage && (artifactType ?? "") === "" ? "image" : "other";
}

interface Place {
  on: string;
  foreign: ReadonlyMap<Digest, WeightsContents>;
  /** Blobs that are no manifests, and manifests that could not be read. */
  there: ReadonlySet<Digest>;
  /** Of the index that lists an index. */
  platform: string | null;
  depth: number;
}

// As deep as graphs are read (content-graph.ts).
const maxDepth = 4;

function addEntries(
  summary: ModelSummary,
  entries: readonly Descriptor[],
  byDigest: ReadonlyMap<Digest, RawManifest>,
  { on, foreign, there, platform, depth }: Place,
): void {
  for (const entry of entries) {
    const raw = byDigest.get(entry.digest);
    const where = `${on}: manifest ${shortDigest(entry.digest)}`;
    const own = isKnownPlatform(entry.platform) ? formatPlatform(entry.platform) : platform;
    const contents = foreign.get(entry.digest);
    const kind =
      raw === undefined
        ? "missing"
        : contents !== undefined
          ? "weights"
          : kindOfEntry(entry, raw, where);
    if (raw !== undefined && kind === "index" && depth < maxDepth) {
      const { manifests } = membersOf(raw, where, toldBefore);
      const place = { on, foreign, there, platform: own, depth: depth + 1 };
      addEntries(summary, manifests, byDigest, place);
    } else if (raw !== undefined && kind === "weights") {
      const weights =
        contents === undefined ? weightsSummary(raw, where) : foreignSummary(contents);
      if (summary.weights === null) summary.weights = weights;
      else summary.moreWeights.push(weights);
    } else if (raw !== undefined && kind === "image") {
      summary.images.push(imageSummary(raw, own, where));
    } else summary.others.push(otherSummary(entry, raw === undefined && !there.has(entry.digest)));
  }
}

function kindOfEntry(
  entry: Descriptor,
  raw: RawManifest,
  on: string,
): "index" | "image" | "weights" | "other" {
  if (entryType(entry) === "weights") {
    // Without its recipe nobody knows its files.
    const inParts = isManifestType(raw.mediaType) && isPartsManifest(membersOf(raw, on));
    return inParts ? "other" : "weights";
  }
  if (isAttestation(entry) || isLaterWeights(entry)) return "other";
  if (isIndexType(raw.mediaType)) return "index";
  if (!isManifestType(raw.mediaType)) return "other";
  return entryType(entry) === "image" ? "image" : kindOf(membersOf(raw, on));
}

function otherSummary(entry: Descriptor, missing: boolean): OtherSummary {
  const { digest, mediaType, artifactType = null, size, annotations, platform } = entry;
  const referenceType = annotations?.["vnd.docker.reference.type"] ?? null;
  const shown = isKnownPlatform(platform) ? formatPlatform(platform) : null;
  return { digest, mediaType, artifactType, referenceType, platform: shown, size, missing };
}

function imageSummary(raw: RawManifest, platform: string | null, on: string): ImageSummary {
  const { config, layers } = membersOf(raw, on);
  return {
    platform,
    digest: raw.digest,
    size: layers.reduce((sum, layer) => sum + layer.size, config?.size ?? 0),
    layers: layers.map(({ digest, size, mediaType }) => ({ digest, size, mediaType })),
  };
}

function weightsSummary(raw: RawManifest, on: string): WeightsSummary {
  const files = parseWeightsManifest(raw, on);
  const size = storedBytes(files);
  const { annotations } = membersOf(raw, on);
  const { digest } = raw;
  return { digest, format: "bundle", size, annotations, files, parts: null, unlisted: [] };
}

/** Weights in another format: an archive that lists its files counts as they do. */
function foreignSummary({ raw, format, entries, packed, parts }: WeightsContents): WeightsSummary {
  const listed = packed.tars.filter(({ expected }) => expected !== undefined);
  const unlisted = [...packed.files, ...packed.tars]
    .filter((stored) => !("expected" in stored) || stored.expected === undefined)
    .map(({ blob: { digest, size, mediaType } }) => ({ digest, size, mediaType }));
  return {
    digest: raw.digest,
    format,
    size: storedBytes([
      ...(parts?.parts.map(({ stored }) => stored) ?? entries),
      ...listed.map(({ blob }) => blob),
      ...unlisted,
    ]),
    annotations: membersOf(raw, shortDigest(raw.digest)).annotations,
    files: [...entries, ...listed.flatMap(expectedEntries)],
    parts: parts === undefined ? null : partsSummary(parts.parts),
    unlisted,
  };
}

/** Parts, each of which is there once. */
export const partsSummary = (
  parts: readonly StoredPart[],
): NonNullable<WeightsSummary["parts"]> => ({
  count: parts.length,
  size: parts.reduce((sum, { size }) => sum + size, 0),
  stored: parts.reduce((sum, { stored }) => sum + stored.size, 0),
  encodings: countEncodings(parts),
});

function countEncodings(parts: readonly StoredPart[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { encoding } of parts) counts[encoding] = (counts[encoding] ?? 0) + 1;
  return counts;
}

function storedBytes(blobs: readonly { digest: Digest; size: number }[]): number {
  const sizes = new Map(blobs.map(({ digest, size }) => [digest, size]));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

/** Every weight file of a model, of all its weights artifacts. */
export const allWeights = ({ weights, moreWeights }: ModelSummary): WeightEntry[] | undefined =>
  weights === null ? undefined : [weights, ...moreWeights].flatMap(({ files }) => files);

/** Whether a model has weights in archives whose files are not known without unpacking them. */
export const hasUnlisted = ({ weights, moreWeights }: ModelSummary): boolean =>
  [weights, ...moreWeights].some((one) => one !== null && one.unlisted.length > 0);
