import { constants, type BigIntStats } from "node:fs";
import { access, stat } from "node:fs/promises";
import { OcibundleError } from "../../errors.ts";
import type { BlobSource } from "../../oci/content.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { notAFile, unreadable } from "./file-errors.ts";
import { remoteSource } from "./remote-file.ts";
import { watchFile } from "./watched-file.ts";
import { type WeightSources, lockAgain, isCompressed } from "./lock-sources.ts";
import { confirmOf } from "./lock-claims.ts";

/** The blob itself, or the file that it is made from as it is now. */
type Place = { blob: string } | { path: string; stats: BigIntStats } | { remote: BlobSource };

/** Where the bytes of an entry's blob are now. Throws what `missing` gives, and as `statWeight`. */
export async function findPlace(
  entry: WeightEntry,
  { paths, remotes, missing, stored, lock }: WeightSources,
  signal: AbortSignal,
): Promise<Place> {
  const remote = remotes?.get(entry.name);
  if (remote !== undefined) return { remote: remoteSource(entry, remote, lock) };
  const path = paths.get(entry.name);
  if (path === undefined || isCompressed(entry)) {
    const blob = await stored.cached(entry, signal);
    if (blob !== undefined) return { blob };
  }
  if (path === undefined) throw missing();
  const stats = await statWeight(entry, path, lock);
  try {
    await access(path, constants.R_OK);
  } catch (cause) {
    throw unreadable(path, cause);
  }
  return { path, stats };
}

/** The bytes of an entry's blob. Throws as `findPlace`, and `integrity` for a cached blob of another file. */
export async function weightSource(
  entry: WeightEntry,
  sources: WeightSources,
  signal: AbortSignal,
): Promise<BlobSource> {
  const { lock, stored } = sources;
  const place = await findPlace(entry, sources, signal);
  if ("remote" in place) return place.remote;
  if ("blob" in place) {
    await confirmOf(entry, sources)?.(undefined, signal);
    return { kind: "file", path: place.blob, offset: 0 };
  }
  const { path, stats } = place;
  if (isCompressed(entry)) return stored.compress(entry, path, signal);
  return {
    kind: "file",
    path,
    offset: 0,
    check: watchFile(
      {
        path,
        digest: entry.digestOriginal,
        size: entry.sizeUncompressed,
        stats,
        look: () => statWeight(entry, path, lock),
        hint: lockAgain(lock),
      },
      signal,
    ),
  };
}

/** Stats a weight file and compares its size with the lock. Throws `file`, `system`, `integrity`. */
export async function statWeight(
  entry: WeightEntry,
  path: string,
  lock: string,
): Promise<BigIntStats> {
  let stats: BigIntStats;
  try {
    stats = await stat(path, { bigint: true });
  } catch (cause) {
    throw unreadable(path, cause);
  }
  if (stats.isDirectory()) {
    throw new OcibundleError("file", `"${path}" is a directory, not a file`, {
      hint: "specify the file, or push the directory with --weights",
    });
  }
  if (!stats.isFile()) throw notAFile(path, stats);
  if (stats.size !== BigInt(entry.sizeUncompressed)) {
    throw new OcibundleError(
      "integrity",
      `"${path}" has ${stats.size} bytes, expected ${entry.sizeUncompressed} (${lock})`,
      { hint: lockAgain(lock) },
    );
  }
  return stats;
}
