import { parallel } from "../../flow/parallel.ts";
import { errno } from "../../errors.ts";
import { faultKind, unreadableBecause } from "../../runtime/file-faults.ts";
import { digestAlgorithm } from "../../oci/digest.ts";
import type { WorkerPool } from "../../runtime/worker-pool.ts";
import type { Cache } from "./cache.ts";
import { hasBytesOf, statBlob } from "./entry.ts";
import type { CachedBlob } from "./list.ts";

/** What reads the blobs, and callbacks for the progress of each. */
export interface VerifyOptions {
  /** Hashes in parallel. */
  pool: WorkerPool;
  signal: AbortSignal;
  onStart?: (blob: CachedBlob) => void;
  /** Further bytes of a blob were read. */
  onBytes?: (blob: CachedBlob, bytes: number) => void;
  onDone?: (blob: CachedBlob) => void;
  /** Whether a file of `size` bytes is right, where its digest is not that of its bytes. */
  isIntact?: (blob: CachedBlob, size: number, signal: AbortSignal) => Promise<boolean>;
}

/** A cached blob that is not what its digest says. */
export interface DamagedBlob extends CachedBlob {
  /** What is wrong with it, for people. */
  reason: string;
  /** Whether it was removed, so that it is fetched again. */
  removed: boolean;
}

/**
 * Reads cached blobs and compares each with its digest, as many at once as the pool has workers. What
 * is damaged is removed from the cache; a hard link to it elsewhere keeps the damaged bytes. Returns
 * what was damaged. What another process removes meanwhile is left out.
 */
export async function verifyBlobs(
  cache: Cache,
  blobs: readonly CachedBlob[],
  options: VerifyOptions,
): Promise<DamagedBlob[]> {
  // The largest first, so that none of them is left to be read alone at the end.
  const order = blobs.toSorted((a, b) => b.size - a.size);
  const damaged = await parallel(order, options.pool.size, options.signal, async (blob, signal) => {
    options.onStart?.(blob);
    const found = await verifyBlob(cache, blob, { ...options, signal });
    options.onDone?.(blob);
    return found;
  });
  return damaged.filter((blob) => blob !== undefined);
}

async function verifyBlob(
  cache: Cache,
  blob: CachedBlob,
  options: VerifyOptions,
): Promise<DamagedBlob | undefined> {
  const { digest } = blob;
  const file = await statBlob(cache.blobPath(digest));
  if (file === undefined) return undefined;
  let reason = "the digest does not match";
  try {
    if (await isIntact(cache, blob, file.size, options)) {
      await cache.confirm({ digest, size: file.size }, file.modified);
      return undefined;
    }
  } catch (error) {
    const code = errno(error);
    if (code === undefined) throw error;
    if (code === "ENOENT") return undefined;
    reason = unreadableBecause(error);
    // What only this user may not read is not damaged for the others.
    if (faultKind(error) === "denied") return { ...blob, reason, removed: false };
  }
  return { ...blob, reason, removed: await cache.removeDamaged(digest, file.modified) };
}

async function isIntact(
  cache: Cache,
  blob: CachedBlob,
  size: number,
  { pool, signal, onBytes, isIntact: isRight }: VerifyOptions,
): Promise<boolean> {
  if (isRight !== undefined) return isRight(blob, size, signal);
  const path = cache.blobPath(blob.digest);
  // The workers know one algorithm; the other is rare enough to be hashed here.
  if (digestAlgorithm(blob.digest) !== "sha256") {
    return hasBytesOf(blob.digest, path, size, signal);
  }
  const [hashed] = await pool.hash([{ path, start: 0, end: size }], {
    signal,
    onBytes: (bytes) => onBytes?.(blob, bytes),
  });
  return hashed?.digest === blob.digest;
}
