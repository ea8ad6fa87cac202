import type { Digest } from "../../oci/digest.ts";
import type { BlobReport, ModelsReport } from "../../report/models-report.ts";

/** One version of a model, as it is stored. Sizes in bytes. */
export interface StoredVersion {
  /** Everything that it stores, manifests too, each by its digest. */
  blobs: ReadonlyMap<Digest, StoredBlob>;
  /** What a node fetches: weight files by their original digest, layers of an image by their own. */
  fetched: ReadonlyMap<Digest, number>;
  /** Of weight files in several parts: what each part is stored with, by the digests of file and part. */
  parts: ReadonlyMap<Digest, ReadonlyMap<Digest, number>>;
}

/** What is known of a blob of some version. Sizes in bytes. */
export type StoredBlob = Pick<BlobReport, "size" | "kind" | "names">;

/** What versions share, and what each has alone. */
export interface VersionComparison extends Pick<ModelsReport, "blobs" | "size" | "fetch"> {
  /** Of each version: all that it has, and what no other version has. */
  sizes: { size: number; own: number }[];
}

/** Finds out what versions share. The time grows with the number of blobs and with the square of the versions. */
export function compareVersions(versions: readonly StoredVersion[]): VersionComparison {
  const byDigest = new Map<Digest, BlobReport>();
  for (const [at, { blobs }] of versions.entries()) {
    for (const [digest, blob] of blobs) {
      const known = byDigest.get(digest);
      if (known === undefined) byDigest.set(digest, { digest, ...blob, versions: [at] });
      else {
        known.versions.push(at);
        known.names = [...new Set([...known.names, ...blob.names])];
      }
    }
  }
  const blobs = [...byDigest.values()].toSorted(
    (a, b) => b.size - a.size || (a.digest < b.digest ? -1 : 1),
  );
  const nodes = versions.map(keptBy);
  const sizes = versions.map(() => ({ size: 0, own: 0 }));
  for (const blob of blobs) {
    for (const at of blob.versions) {
      const of = sizes[at];
      if (of === undefined) continue;
      of.size += blob.size;
      if (blob.versions.length === 1) of.own += blob.size;
    }
  }
  return {
    blobs,
    size: blobs.reduce((sum, { size }) => sum + size, 0),
    sizes,
    fetch: nodes.map((node) => versions.map((version) => toFetch(node, version))),
  };
}

/** The files, parts and layers that a node has that fetched a version. */
function keptBy({ fetched, parts }: StoredVersion): Set<Digest> {
  const kept = new Set(fetched.keys());
  for (const of of parts.values()) for (const digest of of.keys()) kept.add(digest);
  return kept;
}

function toFetch(node: ReadonlySet<Digest>, { fetched, parts }: StoredVersion): number {
  let bytes = 0;
  const missing = new Map<Digest, number>();
  for (const [file, size] of fetched) {
    if (node.has(file)) continue;
    const of = parts.get(file);
    if (of === undefined) bytes += size;
    else for (const [digest, stored] of of) if (!node.has(digest)) missing.set(digest, stored);
  }
  for (const stored of missing.values()) bytes += stored;
  return bytes;
}
