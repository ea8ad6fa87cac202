import { rm } from "node:fs/promises";
import { OcibundleError } from "../../errors.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import type { Cache } from "./cache.ts";
import type { BlobAddress } from "./find-blob.ts";
import { type CacheUse, statBlob } from "./entry.ts";
import { removeJournal } from "./files.ts";
import { cacheFailure, isUnusable, mainRoot } from "./directory.ts";
import { type HeldLock, LockUnavailable } from "../locks/lock-file.ts";
import type { LockHolder } from "../locks/lock-holder.ts";
import { fileFault, isBelow, failedPath } from "../../runtime/file-faults.ts";

/** How a blob is fetched that the cache does not have. */
export interface ObtainOptions {
  signal: AbortSignal;
  use?: CacheUse;
  /**
   * Fetches the blob to `path`, verified, and resolves when all of it is there. What an earlier run left
   * at `path`, and of its journal at `journal`, is still there to go on from. Resolves to `unusable` where
   * the cache was in the way; a failure to write below the cache's directory counts as that, too.
   */
  fetch(path: string, journal: string): Promise<void | Unusable>;
  /** Called once when another process is at the same blob and is waited for. */
  onWait?: ((holder: LockHolder | undefined) => void) | undefined;
  /** Called when nothing can be locked here: then two processes may fetch one blob twice. */
  onUnlocked?: (() => void) | undefined;
}

/** A blob that is in the cache, held there until it is released. */
export interface ObtainedBlob {
  kind: "blob";
  /** The blob's file in the cache: read it, or materialise it, before `release`. */
  path: string;
  outcome: "cached" | "fetched";
  /** From here on the blob may be pruned. */
  release(): void;
}

/** The cache can't take a blob: whoever wants it may do without a cache. */
export interface Unusable {
  kind: "unusable";
  /** The error that says why, or undefined where that was said before. */
  why: unknown;
}

/** The blob, for whoever can't do without the cache. Throws what says why it can't be used. */
export function requireBlob(obtained: ObtainedBlob | Unusable): ObtainedBlob {
  if (obtained.kind === "unusable") throw obtained.why;
  return obtained;
}

/** More tries mean that something takes the blob away each time. */
const maxFetches = 3;

/**
 * The blob's file in the cache, fetched by one process while others that want it wait, and kept from
 * being pruned until it is released.
 *
 * Throws what `fetch` throws, the signal's reason, and `system` when the cache loses the blob again and again.
 */
export async function obtainBlob(
  cache: Cache,
  blob: BlobAddress,
  options: ObtainOptions,
): Promise<ObtainedBlob | Unusable> {
  try {
    return await findOrFetch(cache, blob, options);
  } catch (error) {
    if (!isCacheFault(cache, error)) throw error;
    return { kind: "unusable", why: cacheFailure(cache.root, fileFault(error)) };
  }
}

async function findOrFetch(
  cache: Cache,
  blob: BlobAddress,
  options: ObtainOptions,
): Promise<ObtainedBlob | Unusable> {
  const { digest } = blob;
  let outcome: ObtainedBlob["outcome"] = "cached";
  for (let fetches = 0; fetches <= maxFetches; fetches += 1) {
    const { path, lock } = await cache.waitForLock(digest, options, () =>
      findOrLock(cache, blob, options),
    );
    if (path !== undefined) {
      await cache.noteUse(digest, options.use);
      return { kind: "blob", path, outcome, release: () => lock?.release() };
    }
    let keeps = false;
    try {
      const refused = await fetchInto(cache, blob, options, lock !== undefined);
      if (refused !== undefined) return refused;
      outcome = "fetched";
      // Those who wait for it have it from here on, and nobody can prune it.
      const kept = lock?.share() === true ? await cache.find(blob, options.signal) : undefined;
      keeps = kept !== undefined;
      if (kept !== undefined) {
        return { kind: "blob", path: kept, outcome, release: () => lock?.release() };
      }
    } finally {
      if (!keeps) lock?.release();
    }
  }
  throw new OcibundleError(
    "system",
    `the cache directory "${cache.root}" lost blob ${shortDigest(digest)}`,
    { hint: "pull with --no-cache, or set OCIBUNDLE_CACHE to another directory" },
  );
}

/** With a path: the blob is there, and shared. Without: it is to be fetched by whoever has this. */
interface Turn {
  path: string | undefined;
  lock: HeldLock | undefined;
}

/** Undefined while another process has the blob for itself. */
async function findOrLock(
  cache: Cache,
  blob: BlobAddress,
  options: ObtainOptions,
): Promise<Turn | undefined> {
  const { digest } = blob;
  // What is not there at first sight can only be fetched, or waited for.
  if (await isThere(cache, digest)) {
    const shared = await lockOrNone(cache, blob, options, true);
    if (shared === "held") return undefined;
    const path = await findWith(shared, cache, blob, options.signal);
    if (path !== undefined) {
      // Killed after its last step but one, an earlier run left these; none grows while this is shared.
      if (shared !== undefined) await removeParts(cache, digest);
      return { path, lock: shared };
    }
    shared?.release();
  }
  const alone = await lockOrNone(cache, blob, options, false);
  if (alone === "held") return undefined;
  if ((await findWith(alone, cache, blob, options.signal)) === undefined) {
    return { path: undefined, lock: alone };
  }
  // Another was quicker between the two locks.
  alone?.release();
  return undefined;
}

const isThere = async (cache: Cache, digest: Digest): Promise<boolean> =>
  (await statBlob(cache.blobPath(digest))) !== undefined;

async function findWith(
  lock: HeldLock | undefined,
  cache: Cache,
  blob: BlobAddress,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    return await cache.find(blob, signal);
  } catch (error) {
    lock?.release();
    throw error;
  }
}

async function fetchInto(
  cache: Cache,
  { digest, size }: BlobAddress,
  { fetch, use }: ObtainOptions,
  locked: boolean,
): Promise<Unusable | undefined> {
  // Without a lock another process may be writing the common file.
  const path = locked ? cache.partialPath(digest) : await cache.tempPath("blob");
  const journal = locked ? cache.journalPath(digest) : `${path}.journal`;
  let isKept = locked;
  try {
    const refused = await fetch(path, journal);
    if (refused !== undefined) return refused;
    await cache.putFile(path, digest, size, use);
    await removeJournal(journal);
    isKept = true;
    return undefined;
  } finally {
    if (!isKept) {
      await removeJournal(journal);
      await cache.discardTemp(path);
    }
  }
}

/** Whether the file system refused something in the cache, and not what is read or fetched from elsewhere. */
export function isCacheFault({ root }: Pick<Cache, "root">, error: unknown): boolean {
  if (!isUnusable(error)) return false;
  const path = failedPath(error);
  // What the system says without a path is of a file that was open: the one that is fetched to.
  return path === undefined ? !(error instanceof OcibundleError) : isBelow(mainRoot(root), path);
}

async function removeParts(cache: Cache, digest: Digest): Promise<void> {
  try {
    await rm(cache.partialPath(digest), { force: true });
    await removeJournal(cache.journalPath(digest));
  } catch {
    // In a cache of another user's the parts are for its owner.
  }
}

/**
 * The blob's lock, or undefined where there can be none: on a file system without locks, and for reading
 * where the cache can't be written.
 */
async function lockOrNone(
  cache: Cache,
  { digest }: BlobAddress,
  { onUnlocked }: ObtainOptions,
  shared: boolean,
): Promise<HeldLock | "held" | undefined> {
  try {
    return (await cache.tryLock(digest, { shared })) ?? "held";
  } catch (error) {
    if (shared && isUnusable(error)) return undefined;
    if (!(error instanceof LockUnavailable)) throw error;
    if (!shared) onUnlocked?.();
    return undefined;
  }
}
