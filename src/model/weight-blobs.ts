import { stat } from "node:fs/promises";
import type { BigIntStats } from "node:fs";
import { OcibundleError, errno } from "../errors.ts";
import type { BlobSource, BlobToMove } from "../oci/content.ts";
import { isUnchanged } from "../store/file-records.ts";
import { quoted, type WeightEntry } from "./weight-entry.ts";

/** What a lock's blobs are made from. */
export interface WeightSources {
  /** Where each file lies, by its name in the lock. */
  paths: ReadonlyMap<string, string>;
  /** Why files are missing, to be thrown when one is needed. */
  missing?: OcibundleError | undefined;
  stored: StoredWeights;
}

/** What this machine knows of a weight file besides its bytes. */
export interface StoredWeights {
  /** The entry's blob in the cache, or undefined. */
  cached(entry: WeightEntry, signal: AbortSignal): Promise<string | undefined>;
  /** The digest the file was last seen with, if it is unchanged since. */
  knownDigest(path: string, stats: BigIntStats): Promise<string | undefined>;
  /** Makes the stored (compressed) blob from the file, in the cache. Throws `integrity`. */
  compress(entry: WeightEntry, path: string, signal: AbortSignal): Promise<string>;
}

const lockAgain =
  "the file changed since weights.lock was written; run `ocibundle lock`, then push again";

/** The lock's blobs as things to be moved, once a digest; a file is looked at only when its blob is needed. */
export function weightBlobs(entries: readonly WeightEntry[], sources: WeightSources): BlobToMove[] {
  const blobs = new Map<string, BlobToMove>();
  for (const entry of entries) {
    if (blobs.has(entry.digest)) continue;
    blobs.set(entry.digest, {
      descriptor: { mediaType: entry.mediaType, digest: entry.digest, size: entry.size },
      label: `weight ${quoted(entry.name)}`,
      name: entry.name,
      group: "weights",
      source: (signal) => weightSource(entry, sources, signal),
    });
  }
  return [...blobs.values()];
}

async function weightSource(
  entry: WeightEntry,
  { paths, missing, stored }: WeightSources,
  signal: AbortSignal,
): Promise<BlobSource> {
  const path = paths.get(entry.name);
  const compressed = entry.digest !== entry.digestOriginal;
  if (compressed || path === undefined) {
    const cached = await stored.cached(entry, signal);
    if (cached !== undefined) return { kind: "file", path: cached, offset: 0 };
  }
  if (path === undefined) {
    if (missing !== undefined) throw missing;
    throw new OcibundleError("file", "weights.lock has it, but no file is given", {
      hint: "name the folder with --weights DIR, or the file with --file NAME=PATH",
    });
  }
  const before = await checkAgainstLock(entry, path, stored);
  if (compressed) {
    return { kind: "file", path: await stored.compress(entry, path, signal), offset: 0 };
  }
  return {
    kind: "file",
    path,
    offset: 0,
    check: async () => {
      if (isUnchanged(before, await weightStats(entry, path))) return;
      throw new OcibundleError("integrity", `"${path}" changed while it was being sent`, {
        hint: lockAgain,
      });
    },
  };
}

/**
 * Holds a weight file against the lock by what is known without reading it: its size, and its digest
 * where it was hashed before and is unchanged since. Throws `file`, `integrity`.
 */
export async function checkAgainstLock(
  entry: WeightEntry,
  path: string,
  stored: Pick<StoredWeights, "knownDigest">,
): Promise<BigIntStats> {
  const stats = await weightStats(entry, path);
  const known = await stored.knownDigest(path, stats);
  if (known === undefined || known === entry.digestOriginal) return stats;
  throw new OcibundleError(
    "integrity",
    `"${path}" has the digest ${known}, weights.lock says ${entry.digestOriginal}`,
    { hint: lockAgain },
  );
}

/** Stats a weight file and holds its size against the lock. Throws `file`, `denied`, `integrity`. */
async function weightStats(entry: WeightEntry, path: string): Promise<BigIntStats> {
  const on = `"${path}"`;
  let stats: BigIntStats;
  try {
    stats = await stat(path, { bigint: true });
  } catch (cause) {
    const missing = errno(cause) === "ENOENT" || errno(cause) === "ENOTDIR";
    throw new OcibundleError("file", `${on} ${missing ? "does not exist" : "can't be read"}`, {
      hint: missing ? "name where it lies with --weights DIR or --file NAME=PATH" : undefined,
      cause,
    });
  }
  if (!stats.isFile()) throw new OcibundleError("file", `${on} is not a file`);
  if (stats.size !== BigInt(entry.sizeUncompressed)) {
    throw new OcibundleError(
      "integrity",
      `${on} has ${stats.size} bytes, weights.lock says ${entry.sizeUncompressed}`,
      { hint: lockAgain },
    );
  }
  return stats;
}
