import { rm } from "node:fs/promises";
import { OcibundleError } from "../errors.ts";
import { shortDigest } from "../oci/digest.ts";
import type { BlobAddress, Cache } from "./cache.ts";
import type { CacheUse } from "./cache-entry.ts";
import { isUnusable } from "./cache-folder.ts";
import { type HeldLock, type LockHolder, LockUnavailable } from "./lock-file.ts";

export interface ObtainOptions {
  signal: AbortSignal;
  use?: CacheUse;
  /**
   * Fetches the blob to `path`, verified, and resolves when all of it is there. What an earlier run left
   * at `path`, and of its journal at `journal`, is still there to go on from.
   */
  fetch(path: string, journal: string): Promise<void>;
  /** Called once when another process is at the same blob and is waited for. */
  onWait?: ((holder: LockHolder | undefined) => void) | undefined;
  /** Called when nothing can be locked here: then two processes may fetch one blob twice. */
  onUnlocked?: (() => void) | undefined;
}

export interface ObtainedBlob {
  /** The blob's file in the cache: read it, or materialise it, before `release`. */
  path: string;
  outcome: "cached" | "fetched";
  /** From here on the blob may be pruned. */
  release(): void;
}

/** More tries mean that something takes the blob away each time. */
const maxTries = 3;

/**
 * The blob's file in the cache, fetched by one process while others that want it wait, and kept from
 * being pruned until it is released.
 *
 * Throws what `fetch` throws, the signal's reason, and `file` when the cache can't be written (see
 * `isUnusable` for going on without a cache).
 */
export async function obtainBlob(
  cache: Cache,
  blob: BlobAddress,
  options: ObtainOptions,
): Promise<ObtainedBlob> {
  const { digest, size } = blob;
  const { signal, use } = options;
  let outcome: ObtainedBlob["outcome"] = "cached";
  for (let tries = 0; tries < maxTries; tries += 1) {
    const reading = await lockOrNone(cache, blob, options, true);
    try {
      const path = await cache.find(blob, signal);
      if (path !== undefined) {
        await cache.noteUse(digest, use);
        return { path, outcome, release: () => reading?.release() };
      }
    } catch (error) {
      reading?.release();
      throw error;
    }
    reading?.release();
    const writing = await lockOrNone(cache, blob, options, false);
    try {
      if ((await cache.find(blob, signal)) !== undefined) continue;
      // Without a lock another process may be writing the common file.
      const path = writing === undefined ? await cache.tempPath("blob") : cache.partialPath(digest);
      const journal = writing === undefined ? `${path}.journal` : cache.journalPath(digest);
      try {
        await options.fetch(path, journal);
        await cache.putFile(path, digest, size, use);
        await rm(journal, { force: true });
      } catch (error) {
        if (writing === undefined) {
          await rm(journal, { force: true });
          await cache.discardTemp(path);
        }
        throw error;
      }
      outcome = "fetched";
    } finally {
      writing?.release();
    }
  }
  throw new OcibundleError(
    "file",
    `the cache folder "${cache.root}" does not keep blob ${shortDigest(digest)}`,
    { hint: "pull with --no-cache, or set OCIBUNDLE_CACHE to another folder" },
  );
}

/**
 * The blob's lock, or undefined where there can be none: on a file system without locks, and for reading
 * where the cache can't be written.
 */
async function lockOrNone(
  cache: Cache,
  { digest }: BlobAddress,
  { signal, onWait, onUnlocked }: ObtainOptions,
  shared: boolean,
): Promise<HeldLock | undefined> {
  try {
    return await cache.lock(digest, { signal, onWait, shared });
  } catch (error) {
    if (shared && isUnusable(error)) return undefined;
    if (!(error instanceof LockUnavailable)) throw error;
    if (!shared) onUnlocked?.();
    return undefined;
  }
}
