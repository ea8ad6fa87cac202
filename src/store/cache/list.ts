import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import pLimit from "p-limit";
import { OcibundleError, errno } from "../../errors.ts";
import { type Digest, isDigest } from "../../oci/digest.ts";
import type { Cache } from "./cache.ts";
import { statBlob } from "./entry.ts";
import { cacheDirectories, mainRoot } from "./directory.ts";
import { tryLockFile } from "../locks/lock-file.ts";
import { lockHolderSuffix } from "../locks/lock-holder.ts";
import { faultReason, readingCode } from "../../runtime/file-faults.ts";

/** A blob in the cache. */
export interface CachedBlob {
  digest: Digest;
  /** In bytes. */
  size: number;
  lastUsed: Date;
  /** What its users called it, the last one first; empty when nothing is known of it. */
  names: readonly string[];
  /** Where it came from, as `host/repository`. */
  origins: readonly string[];
  /** Whether a hard link outside the cache holds the same bytes. */
  linked: boolean;
  /** Whether it was put together from parts: then `digest` is that of a list of them, and not of its bytes. */
  assembled: boolean;
}

/** A blob that was fetched in part and not gone on with. */
export interface UnfinishedBlob {
  digest: Digest;
  /** How many bytes its file and journal have. */
  size: number;
  lastUsed: Date;
}

/** File-system calls at once. */
const concurrency = 32;

/** The names in a directory of the cache; none where it was not made yet. Throws `file`, `system`. */
async function listDirectory(cache: Cache, directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errno(error) === "ENOENT") return [];
    throw new OcibundleError(
      readingCode(error),
      `cannot read the cache directory "${cache.root}": ${faultReason(error)}`,
      {
        hint: "check its permissions, or set OCIBUNDLE_CACHE to another directory",
        cause: error,
      },
    );
  }
}

/** All blobs, the last used first. What is no blob by its name is left out. Throws `file`, `system`. */
export async function listBlobs(cache: Cache): Promise<CachedBlob[]> {
  const { blobs } = cacheDirectories(cache.root);
  const digests: Digest[] = [];
  for (const algorithm of ["sha256", "sha512"]) {
    for (const hex of await listDirectory(cache, join(blobs, algorithm))) {
      const digest = `${algorithm}:${hex}`;
      if (isDigest(digest)) digests.push(digest);
    }
  }
  const limit = pLimit(concurrency);
  const found = await limit.map(digests, (digest) => describe(cache, digest));
  return byLastUse(found.filter((blob) => blob !== undefined));
}

/** A blob as it is now, or undefined when it is gone. */
export async function describe(cache: Cache, digest: Digest): Promise<CachedBlob | undefined> {
  const file = await statBlob(cache.blobPath(digest));
  if (file === undefined) return undefined;
  const entry = await cache.entry(digest);
  return {
    digest,
    size: file.size,
    lastUsed: entry?.lastUsed ?? new Date(file.modified),
    names: entry?.names ?? [],
    origins: entry?.origins ?? [],
    linked: file.links > 1,
    assembled: mainRoot(cache.root) !== cache.root,
  };
}

/** All blobs of which a part is here, the last used first. */
export async function listUnfinished(cache: Cache): Promise<UnfinishedBlob[]> {
  const { temp } = cacheDirectories(cache.root);
  const found = new Map<Digest, UnfinishedBlob>();
  for (const name of await listDirectory(cache, temp)) {
    const digest = /^(.*)\.(?:partial|journal)$/.exec(name)?.[1]?.replace("-", ":");
    if (digest === undefined || !isDigest(digest)) continue;
    const stats = await stat(join(temp, name)).catch(() => undefined);
    if (stats === undefined) continue;
    const before = found.get(digest);
    found.set(digest, {
      digest,
      size: (before?.size ?? 0) + stats.size,
      lastUsed: new Date(Math.max(before?.lastUsed.getTime() ?? 0, stats.mtimeMs)),
    });
  }
  return byLastUse([...found.values()]);
}

/** Sorted so that what was used last is first. */
export const byLastUse = <T extends { lastUsed: Date }>(items: readonly T[]): T[] =>
  items.toSorted((a, b) => b.lastUsed.getTime() - a.lastUsed.getTime());

/** Removes lock files that nobody holds, and returns how many. Throws `LockUnavailable`. */
export async function sweepLocks(cache: Cache): Promise<number> {
  const { locks } = cacheDirectories(cache.root);
  let swept = 0;
  for (const name of new Set((await listDirectory(cache, locks)).map(removeSuffix))) {
    const lock = tryLockFile(join(locks, name));
    if (lock === undefined) continue;
    lock.release();
    swept += 1;
  }
  return swept;
}

const removeSuffix = (name: string): string =>
  name.endsWith(lockHolderSuffix) ? name.slice(0, -lockHolderSuffix.length) : name;
