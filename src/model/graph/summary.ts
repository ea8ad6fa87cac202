import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import { parseDocument } from "../../oci/document.ts";
import { ImageIndexSchema, ImageManifestSchema, type RawManifest } from "../../oci/manifest.ts";
import { isImageConfigType, isIndexType, isManifestType } from "../../oci/media-types.ts";
import { formatPlatform, isKnownPlatform } from "../../oci/platform.ts";
import { weightsArtifactType } from "../format/annotations.ts";
import { entryType, findWeights } from "../format/model-index.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { parseWeightsManifest } from "../format/weights-artifact.ts";

/** What a model consists of; also the shape of `inspect --json` (docs/json.md). Sizes in bytes. */
export interface ModelSummary {
  /** `bundle`: an index with weights. `index`, `image`, `weights`: that alone. `artifact`: something else. */
  type: "bundle" | "index" | "image" | "weights" | "artifact";
  mediaType: string;
  artifactType: string | null;
  digest: Digest;
  /** Of the manifest or index itself. */
  size: number;
  images: ImageSummary[];
  weights: WeightsSummary | null;
  /** Entries that are neither: attestations, other artifacts. */
  others: OtherSummary[];
}

export interface OtherSummary {
  digest: Digest;
  mediaType: string;
  artifactType: string | null;
  /** `vnd.docker.reference.type`: `attestation-manifest` of what builders attest. */
  referenceType: string | null;
  size: number;
}

export interface ImageSummary {
  /** `linux/amd64`, or null where nothing says it. */
  platform: string | null;
  digest: Digest;
  /** Config and layers together. */
  size: number;
  layers: { digest: Digest; size: number; mediaType: string }[];
}

export interface WeightsSummary {
  digest: Digest;
  /** The stored blobs together, each once. */
  size: number;
  files: WeightEntry[];
}

/**
 * Describes a manifest or index from its bytes and those of its children. `platform` is that of an image
 * that no index says it of. Throws `file`, also for an index with two weights artifacts.
 */
export function summarize(
  root: RawManifest,
  children: readonly RawManifest[],
  on: string,
  platform: string | null = null,
): ModelSummary {
  const summary: ModelSummary = {
    type: "artifact",
    mediaType: root.mediaType,
    artifactType: null,
    digest: root.digest,
    size: root.bytes.byteLength,
    images: [],
    weights: null,
    others: [],
  };
  if (isManifestType(root.mediaType)) {
    const { artifactType, config } = parseDocument(root.bytes, ImageManifestSchema, on);
    summary.artifactType = artifactType ?? null;
    if (artifactType === weightsArtifactType) {
      summary.type = "weights";
      summary.weights = weightsSummary(root, on);
    } else if (isImageConfigType(config.mediaType)) {
      summary.type = "image";
      summary.images.push(imageSummary(root, platform, on));
    }
    return summary;
  }
  if (!isIndexType(root.mediaType)) return summary;

  const byDigest = new Map(children.map((child) => [child.digest, child]));
  const index = parseDocument(root.bytes, ImageIndexSchema, on);
  findWeights(index, on);
  for (const entry of index.manifests) addEntry(summary, entry, byDigest.get(entry.digest), on);
  summary.type = summary.weights === null ? "index" : "bundle";
  return summary;
}

function addEntry(
  summary: ModelSummary,
  entry: Descriptor,
  raw: RawManifest | undefined,
  on: string,
): void {
  const type = entryType(entry);
  const where = `${on}: manifest ${shortDigest(entry.digest)}`;
  if (type === "weights" && raw !== undefined) summary.weights = weightsSummary(raw, where);
  else if (type === "image" && raw !== undefined && isManifestType(raw.mediaType)) {
    const platform = isKnownPlatform(entry.platform) ? formatPlatform(entry.platform) : null;
    summary.images.push(imageSummary(raw, platform, where));
  } else {
    const { digest, mediaType, artifactType = null, size, annotations } = entry;
    const referenceType = annotations?.["vnd.docker.reference.type"] ?? null;
    summary.others.push({ digest, mediaType, artifactType, referenceType, size });
  }
}

function imageSummary(raw: RawManifest, platform: string | null, on: string): ImageSummary {
  const { config, layers } = parseDocument(raw.bytes, ImageManifestSchema, on);
  return {
    platform,
    digest: raw.digest,
    size: layers.reduce((sum, layer) => sum + layer.size, config.size),
    layers: layers.map(({ digest, size, mediaType }) => ({ digest, size, mediaType })),
  };
}

function weightsSummary(raw: RawManifest, on: string): WeightsSummary {
  const files = parseWeightsManifest(raw, on);
  const sizes = new Map(files.map((file) => [file.digest, file.size]));
  return {
    digest: raw.digest,
    size: [...sizes.values()].reduce((sum, size) => sum + size, 0),
    files,
  };
}
