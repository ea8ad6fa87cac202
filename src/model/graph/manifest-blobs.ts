import type { BlobToMove, ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { embeddedContent, membersOf } from "../../oci/manifest-members.ts";
import { isImageConfigType, isIndexType } from "../../oci/media-types.ts";
import { weightDest, weightName } from "../format/annotations.ts";
import { fileNameOf } from "../format/weight-entry.ts";
import { isWeightsManifest } from "../format/weights-artifact.ts";
import { isPartsManifest } from "../parts/parts-artifact.ts";
import { mayBeSplit } from "../parts/tree-numbers.ts";

/** What a manifest is part of. `other`: attestations, signatures, artifacts of other tools. */
export type Group = "image" | "weights" | "other";

/**
 * What a manifest names besides other manifests, once a digest. `group` is what an index says of it.
 * Throws `file` for a manifest whose content can't be found, `integrity` for wrong embedded content.
 */
export function blobsOfManifest(
  reader: ContentReader,
  manifest: RawManifest,
  group?: Group,
): BlobToMove[] {
  const on = `${reader.name}: manifest ${shortDigest(manifest.digest)}`;
  if (isIndexType(manifest.mediaType)) return [];
  const members = membersOf(manifest, on);
  const { config, layers } = members;
  const isImage =
    members.artifactType === undefined &&
    config !== undefined &&
    isImageConfigType(config.mediaType);
  const isInParts = isPartsManifest(members);
  const isWeights = isWeightsManifest(members) || isInParts;
  const own: Group = isWeights ? "weights" : isImage ? "image" : "other";
  const blobs = new Map<Digest, BlobToMove>();
  for (const descriptor of config === undefined ? layers : [config, ...layers]) {
    if (blobs.has(descriptor.digest)) continue;
    const blob = blobOf(reader, descriptor, group ?? own, descriptor === config);
    blob.canSplit = !isInParts && !isImage && descriptor !== config && mayBeSplit(descriptor.size);
    const bytes = embeddedContent(descriptor, on);
    // What the manifest has with it need not be stored apart.
    if (bytes !== undefined) blob.source = () => Promise.resolve({ kind: "bytes", bytes });
    blobs.set(descriptor.digest, blob);
  }
  return [...blobs.values()];
}

/** How to get at one blob of a reader, and what to call it. */
export function blobOf(
  reader: ContentReader,
  descriptor: Descriptor,
  group: Group,
  isConfig = false,
): BlobToMove {
  const weight = weightName(descriptor);
  const dest = weightDest(descriptor);
  const kind = isConfig ? "config" : weight === undefined ? "layer" : "weight";
  return {
    descriptor,
    kind,
    label:
      weight === undefined
        ? `${kind} ${shortDigest(descriptor.digest)}`
        : `weight ${JSON.stringify(weight)}`,
    ...(weight === undefined ? {} : { name: weight }),
    ...(weight === undefined || dest === undefined
      ? {}
      : { file: fileNameOf({ name: weight, dest }) }),
    group,
    mismatchHint: `create or copy ${reader.name} again: its content does not match its manifest`,
    source: (signal) => reader.blobSource(descriptor, signal),
    ...(reader.reportCorrupt === undefined
      ? {}
      : { reportCorrupt: () => reader.reportCorrupt?.(descriptor.digest) ?? false }),
  };
}
