import { rm, stat } from "node:fs/promises";
import { OcibundleError } from "../../errors.ts";
import { assembledCache, forgetContent } from "./assembled.ts";
import type { Cache } from "./cache.ts";
import { removeJournal } from "./files.ts";
import { cacheDirectories } from "./directory.ts";
import {
  type CachedBlob,
  type UnfinishedBlob,
  describe,
  listBlobs,
  listUnfinished,
  sweepLocks,
} from "./list.ts";
import { sweepTempFiles } from "./temp.ts";
import { faultOfDirectory, isReadOnly, writingReason } from "../../runtime/file-faults.ts";
import { LockUnavailable, requireLocks } from "../locks/lock-file.ts";

/** How much of the cache stays. */
export interface PruneOptions {
  /** Milliseconds: what was not used for longer goes. */
  olderThan?: number | undefined;
  /** Bytes: beyond that, what was used longest ago goes. */
  maxSize?: number | undefined;
  /** Only say what would go. */
  dryRun: boolean;
  /** Milliseconds since 1970. */
  now: number;
  signal: AbortSignal;
}

/** What pruning removed, and what it could not. */
export interface PruneReport {
  removed: CachedBlob[];
  /** Blobs fetched in part. */
  removedUnfinished: UnfinishedBlob[];
  /** What should have gone and is used by a process. */
  inUse: CachedBlob[];
  /** What is a hard link elsewhere too: removing it would free nothing. */
  linked: CachedBlob[];
  kept: { blobs: number; bytes: number };
  /** How many leftovers of ended processes were removed; 0 with `dryRun`. */
  leftovers: number;
  /** In bytes. */
  freed: number;
}

/**
 * Removes blobs that were not used for long, and the longest unused ones beyond a size. What another
 * process reads or fetches stays, and so does what is linked from elsewhere, which neither counts for
 * the size. With neither limit, only leftovers of ended processes go.
 *
 * Throws `system` where files can't be locked, `file` or `system` where they can't be listed, and as `cacheFailure`
 * where they can't be removed.
 */
export async function pruneCache(cache: Cache, options: PruneOptions): Promise<PruneReport> {
  try {
    return await prune(cache, options);
  } catch (error) {
    if (!(error instanceof LockUnavailable)) throw error;
    const fault = await faultOfDirectory(cache.root);
    if (isReadOnly(fault)) {
      throw new OcibundleError(
        "system",
        `cannot prune the cache "${cache.root}": ${writingReason(fault)}`,
        { hint: "mount its file system read-write", cause: fault },
      );
    }
    throw new OcibundleError(
      "system",
      `cannot prune the cache "${cache.root}": cannot lock its files`,
      {
        hint: "check its permissions; on a file system without locks, delete the directory",
        cause: error,
      },
    );
  }
}

type Candidate = { cache: Cache } & (
  | { kind: "blob"; item: CachedBlob }
  | { kind: "unfinished"; item: UnfinishedBlob }
);

async function prune(cache: Cache, options: PruneOptions): Promise<PruneReport> {
  const blobs: CachedBlob[] = [];
  const candidates: Candidate[] = [];
  const caches = [cache, assembledCache(cache)];
  for (const one of caches) {
    const { locks } = cacheDirectories(one.root);
    // Before the first look: what nobody holds can't be told from what is in use.
    if (await isDirectory(locks)) requireLocks(locks);
    const found = await listBlobs(one);
    blobs.push(...found);
    for (const item of found) if (!item.linked) candidates.push({ cache: one, kind: "blob", item });
    for (const item of await listUnfinished(one)) {
      candidates.push({ cache: one, kind: "unfinished", item });
    }
  }
  const report: PruneReport = {
    removed: [],
    removedUnfinished: [],
    inUse: [],
    linked: blobs.filter(({ linked }) => linked),
    kept: { blobs: 0, bytes: 0 },
    leftovers: 0,
    freed: 0,
  };
  let total = candidates.reduce((sum, { item }) => sum + item.size, 0);
  const longestUnusedFirst = candidates.toSorted(
    (a, b) => a.item.lastUsed.getTime() - b.item.lastUsed.getTime(),
  );
  for (const { cache: owner, kind, item } of longestUnusedFirst) {
    options.signal.throwIfAborted();
    // A part without a byte is nothing that a pull could go on with.
    const empty = kind === "unfinished" && item.size === 0;
    if (!empty && !isDue(item, total, options)) continue;
    if (!(await removeUnused(owner, kind, item, options.dryRun))) {
      if (kind === "blob") report.inUse.push(item);
      continue;
    }
    total -= item.size;
    report.freed += item.size;
    if (kind === "blob") report.removed.push(item);
    else report.removedUnfinished.push(item);
  }
  const removed = new Set(report.removed);
  for (const blob of blobs) {
    if (removed.has(blob)) continue;
    report.kept.blobs += 1;
    report.kept.bytes += blob.size;
  }
  if (!options.dryRun) {
    for (const one of caches) {
      const { temp, locks } = cacheDirectories(one.root);
      report.leftovers += (await sweepTempFiles(temp, locks)) + (await sweepLocks(one));
    }
  }
  return report;
}

const isDirectory = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined))?.isDirectory() === true;

/** Whether something must go, `total` bytes being what is left that can go. */
function isDue(
  item: { size: number; lastUsed: Date },
  total: number,
  { olderThan, maxSize, now }: Pick<PruneOptions, "olderThan" | "maxSize" | "now">,
): boolean {
  if (olderThan !== undefined && now - item.lastUsed.getTime() > olderThan) return true;
  return maxSize !== undefined && total > maxSize;
}

/** Removes what nobody uses, its lock held; false when somebody does. */
async function removeUnused(
  cache: Cache,
  kind: Candidate["kind"],
  { digest }: { digest: CachedBlob["digest"] },
  dryRun: boolean,
): Promise<boolean> {
  const lock = await cache.tryLock(digest);
  if (lock === undefined) return false;
  try {
    if (kind === "blob" && (await describe(cache, digest))?.linked === true) return false;
    if (dryRun) return true;
    if (kind === "blob") {
      await cache.remove(digest);
      await forgetContent(cache, digest);
    } else {
      await removeJournal(cache.journalPath(digest));
      await rm(cache.partialPath(digest), { force: true });
    }
    return true;
  } finally {
    lock.release();
  }
}
