import { OcibundleError } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import type { BlobToMove, ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import { essenceOf, isForeignLayerType, isGenericType } from "../../oci/media-types.ts";
import { entryType } from "../format/model-index.ts";
import { type Group, blobsOfManifest, blobOf } from "./manifest-blobs.ts";
import { readChild } from "./read-child.ts";

/** Everything one manifest or index needs to be whole somewhere else. */
export interface ContentGraph {
  root: RawManifest;
  /** Every manifest below the root, children before parents; the root is not among them. */
  children: RawManifest[];
  /** Every config and layer, once a digest. */
  blobs: BlobToMove[];
  /**
   * Layers that may not be distributed and that the source does not have: whoever needs them fetches them elsewhere.
   */
  leftOut?: Descriptor[];
}

/** What of an index is left out: a manifest, or entries of which no digest is known. */
export interface BrokenEntry {
  /** What it is called in reports: `manifest sha256:ab12…`. */
  item: string;
  digest: Digest | undefined;
}

/** Is told what is left out of a graph, and why: by the error's code whether it is there. */
export type OnBroken = (entry: BrokenEntry, error: OcibundleError) => void;

// Deeper nesting has no use; a cycle can't exist among digests, but a long chain can.
const maxDepth = 4;

/** An index lists at most this many manifests: the largest real ones have some dozens. */
const maxManifests = 1000;

/** All manifests of a graph, which are kept in memory, in bytes. */
export const maxGraphBytes = 128 * 1024 * 1024;

/**
 * Reads a manifest or index and all manifests below it.
 *
 * Blobs are only described: each says how to get at its bytes when they are needed.
 * Throws `not_found` for a child that the reader lacks, `file` or `integrity` for a broken one or one
 * whose content can't be found; with `onBroken` they are told of, and left out with all that is below them.
 * So are then entries that can't be read.
 */
export async function readGraph(
  reader: ContentReader,
  root: RawManifest,
  signal: AbortSignal,
  onBroken?: OnBroken,
): Promise<ContentGraph> {
  const children: RawManifest[] = [];
  const blobs = new Map<Digest, BlobToMove>();
  const seen = new Set<Digest>([root.digest]);
  let bytes = root.bytes.byteLength;

  const visit = async (manifest: RawManifest, depth: number, group?: Group): Promise<void> => {
    const on = `${reader.name}: manifest ${shortDigest(manifest.digest)}`;
    const passOver =
      onBroken &&
      ((text: string): void =>
        onBroken(
          { item: `index ${shortDigest(manifest.digest)}`, digest: undefined },
          new OcibundleError("file", `${on}: ${text}`),
        ));
    const { manifests } = membersOf(manifest, on, passOver);
    for (const blob of blobsOfManifest(reader, manifest, group)) {
      const known = blobs.get(blob.descriptor.digest);
      // What an image shares with something else is the image's.
      if (known === undefined || (known.group === "other" && blob.group !== "other")) {
        blobs.set(blob.descriptor.digest, blob);
      }
    }
    if (manifests.length > 0 && depth === maxDepth) {
      throw new OcibundleError(
        "file",
        `${on}: indexes are nested more than ${maxDepth} levels deep`,
      );
    }
    const further = manifests.filter(({ digest }) => !seen.has(digest));
    bytes += further.reduce((sum, { size }) => sum + size, 0);
    if (bytes > maxGraphBytes) {
      throw new OcibundleError("file", `${on}: more than ${maxGraphBytes} bytes of manifests`);
    }
    for (const entry of further) {
      if (seen.has(entry.digest)) continue;
      if (seen.size > maxManifests) {
        throw new OcibundleError("file", `${on}: more than ${maxManifests} manifests`);
      }
      seen.add(entry.digest);
      try {
        const child = await readChild(reader, entry, signal);
        await visit(child, depth + 1, group ?? groupOfEntry(entry));
        children.push(child);
      } catch (error) {
        if (!isBroken(error)) throw error;
        if (await isBlob(reader, entry, error, signal)) {
          blobs.set(entry.digest, blobOf(reader, entry, group ?? groupOfEntry(entry) ?? "other"));
        } else if (onBroken === undefined) throw error;
        else {
          const { digest } = entry;
          onBroken({ item: `manifest ${shortDigest(digest)}`, digest }, error);
        }
      }
    }
  };
  await visit(root, 0);
  return { root, children, ...(await withoutMissingForeign(reader, [...blobs.values()], signal)) };
}

/**
 * Whether an entry of an index is no manifest but a blob, which layouts and indexes may list too (image-spec
 * v1.1, image-index.md, "manifests"). What its type calls a manifest never is one.
 */
async function isBlob(
  reader: ContentReader,
  entry: Descriptor,
  { code }: OcibundleError,
  signal: AbortSignal,
): Promise<boolean> {
  const type = essenceOf(entry.mediaType);
  if (isGenericType(type) || /manifest|index/.test(type)) return false;
  // A JSON document that was read may be a manifest of a kind that is not known here.
  if (code !== "not_found" && type.endsWith("json")) return false;
  return reader.hasBlob(entry, signal);
}

const isBroken = (error: unknown): error is OcibundleError =>
  error instanceof OcibundleError && ["not_found", "integrity", "file"].includes(error.code);

/** What an index tells of an entry; undefined where the entry itself has to tell. */
function groupOfEntry(entry: Descriptor): Group | undefined {
  if (entryType(entry) === "weights") return "weights";
  const isReference = entry.annotations?.["vnd.docker.reference.type"] !== undefined;
  return isReference ? "other" : undefined;
}

/** Requests at once for layers that may be elsewhere. */
const looksAtOnce = 8;

/** Foreign layers that the source has are moved like others; the rest is left out (image-spec v1.1, layer.md). */
async function withoutMissingForeign(
  reader: ContentReader,
  blobs: readonly BlobToMove[],
  signal: AbortSignal,
): Promise<{ blobs: BlobToMove[]; leftOut: Descriptor[] }> {
  const there = await parallel(
    blobs,
    looksAtOnce,
    signal,
    async ({ descriptor }, stop) =>
      !isForeignLayerType(descriptor.mediaType) || (await reader.hasBlob(descriptor, stop)),
  );
  return {
    blobs: blobs.filter((_blob, at) => there[at]),
    leftOut: blobs.filter((_blob, at) => !there[at]).map(({ descriptor }) => descriptor),
  };
}
