import { OcibundleError } from "../../errors.ts";
import type { BlobToMove, ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import { parseDocument } from "../../oci/document.ts";
import { ImageIndexSchema, ImageManifestSchema, type RawManifest } from "../../oci/manifest.ts";
import { isIndexType, isManifestType } from "../../oci/media-types.ts";
import { weightName, weightsArtifactType } from "../format/annotations.ts";

/** Everything one manifest or index needs to be whole somewhere else. */
export interface ContentGraph {
  root: RawManifest;
  /** Every manifest below the root, children before parents; the root is not among them. */
  children: RawManifest[];
  /** Every config and layer, once a digest. */
  blobs: BlobToMove[];
}

// Deeper nesting has no use; a cycle can't exist among digests, but a long chain can.
const maxDepth = 4;

/** An index lists at most this many manifests: the largest real ones have some dozens. */
const maxManifests = 1000;

/**
 * Reads a manifest or index and all manifests below it.
 *
 * Blobs are only described: each says how to get at its bytes when they are needed.
 * Throws `not_found` for a child that the reader lacks, `file` or `integrity` for a broken one; with
 * `onBroken` they are told of, and left out with all that is below them.
 */
export async function readGraph(
  reader: ContentReader,
  root: RawManifest,
  signal: AbortSignal,
  onBroken?: (child: Descriptor, error: OcibundleError) => void,
): Promise<ContentGraph> {
  const children: RawManifest[] = [];
  const blobs = new Map<Digest, BlobToMove>();
  const seen = new Set<Digest>([root.digest]);

  const visit = async (manifest: RawManifest, depth: number): Promise<void> => {
    const on = `${reader.name}: manifest ${shortDigest(manifest.digest)}`;
    if (isManifestType(manifest.mediaType)) {
      for (const blob of blobsOfManifest(reader, manifest)) {
        if (!blobs.has(blob.descriptor.digest)) blobs.set(blob.descriptor.digest, blob);
      }
      return;
    }
    // An artifact of a kind unknown here is moved as it is: it names no blobs that could be found.
    if (!isIndexType(manifest.mediaType)) return;
    if (depth === maxDepth) {
      throw new OcibundleError("file", `${on}: indexes are nested more than ${maxDepth} deep`);
    }
    const index = parseDocument(manifest.bytes, ImageIndexSchema, on);
    for (const entry of index.manifests) {
      if (seen.has(entry.digest)) continue;
      if (seen.size > maxManifests) {
        throw new OcibundleError("file", `${on}: more than ${maxManifests} manifests`);
      }
      seen.add(entry.digest);
      try {
        const child = await readChild(reader, entry, signal);
        await visit(child, depth + 1);
        children.push(child);
      } catch (error) {
        if (onBroken === undefined || !isBroken(error)) throw error;
        onBroken(entry, error);
      }
    }
  };
  await visit(root, 0);
  return { root, children, blobs: [...blobs.values()] };
}

const isBroken = (error: unknown): error is OcibundleError =>
  error instanceof OcibundleError && ["not_found", "integrity", "file"].includes(error.code);

/** The config and layers of an image manifest or artifact, once a digest; layers that live elsewhere are left out. */
export function blobsOfManifest(reader: ContentReader, manifest: RawManifest): BlobToMove[] {
  const on = `${reader.name}: manifest ${shortDigest(manifest.digest)}`;
  const { artifactType, config, layers } = parseDocument(manifest.bytes, ImageManifestSchema, on);
  const group = artifactType === weightsArtifactType ? "weights" : "image";
  const blobs = new Map<Digest, BlobToMove>();
  for (const descriptor of [config, ...layers]) {
    if (isForeign(descriptor) || blobs.has(descriptor.digest)) continue;
    const weight = weightName(descriptor);
    const kind = descriptor === config ? "config" : "layer";
    blobs.set(descriptor.digest, {
      descriptor,
      label:
        weight === undefined
          ? `${kind} ${shortDigest(descriptor.digest)}`
          : `weight ${JSON.stringify(weight)}`,
      ...(weight === undefined ? {} : { name: weight }),
      group,
      mismatchHint: `make or copy ${reader.name} again: its bytes are not what its manifest says`,
      source: (signal) => reader.blobSource(descriptor, signal),
      ...(reader.distrust === undefined
        ? {}
        : { distrust: () => reader.distrust?.(descriptor.digest) ?? false }),
    });
  }
  return [...blobs.values()];
}

/** Reads the manifest an index entry stands for, its size and type checked against the entry. */
export async function readChild(
  reader: ContentReader,
  entry: Descriptor,
  signal: AbortSignal,
): Promise<RawManifest> {
  const child = await reader.readManifest(entry.digest, signal);
  if (child.bytes.byteLength !== entry.size) {
    throw new OcibundleError(
      "integrity",
      `${reader.name}: manifest ${shortDigest(entry.digest)} has ${child.bytes.byteLength} bytes, its index says ${entry.size}`,
    );
  }
  return { ...child, mediaType: entry.mediaType };
}

/** Layers that a registry must not hold: Windows base layers, fetched from their `urls`. */
const isForeign = (descriptor: Descriptor): boolean =>
  descriptor.urls !== undefined &&
  descriptor.urls.length > 0 &&
  /nondistributable|foreign/.test(descriptor.mediaType);
