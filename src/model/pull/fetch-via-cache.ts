import { errno, isLocal } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { statBlob } from "../../store/cache/entry.ts";
import { cacheFailure, isUnusable } from "../../store/cache/folder.ts";
import { obtainBlob } from "../../store/cache/obtain.ts";
import { whereLockable } from "../../store/locks/where-possible.ts";
import { onOneDisk } from "../../store/placement/disk-space.ts";
import { type JournalPlace, removeGrown } from "../../transfer/download/download-journal.ts";
import type { FetchContext, FetchOutcome } from "./pull-context.ts";
import { removeParts } from "./fetch-in-place.ts";
import { download, type FetchProgress } from "./pull-download.ts";
import { materializeFile } from "./place-file.ts";
import type { WantedFile } from "./pull-plan.ts";
import { sayUnlocked } from "./pull-warnings.ts";
import { takeOver } from "./move-partial.ts";
import type { Session } from "../session/session.ts";

/** The cache can't take a blob: the pull goes on without. `cause` says why, unless that was said before. */
export class CacheTakesNothing extends Error {}

/**
 * Fetches an original into the cache, unless it is there, and gives it to its files. Throws
 * `CacheTakesNothing` where only the cache is in the way; what was fetched lies where `fetchDirectly` goes
 * on from it then.
 */
export async function fetchThroughCache(
  files: readonly [WantedFile, ...WantedFile[]],
  context: FetchContext,
  progress: FetchProgress,
): Promise<FetchOutcome> {
  const { session, source, seen } = context;
  const { cache, signal, emit } = session;
  const [first] = files;
  const { entry } = first;
  const isPlain = entry.digest === entry.digestOriginal;
  let begun = false;
  const fetch = async (path: string, journal: string): Promise<void> => {
    begun = true;
    if (!isPlain) return downloadCompressed(first, path, context, progress);
    const place = { partial: path, journal };
    return orTakenOver(first, place, context, () =>
      download(entry, place, path, context, progress),
    );
  };
  const obtaining = obtainBlob(
    cache,
    { digest: entry.digestOriginal, size: entry.sizeUncompressed },
    {
      signal,
      use: { name: entry.name, origin: source.name },
      fetch,
      onUnlocked: () => sayUnlocked(context, cache.root),
      onWait: (holder) =>
        emit({
          type: "detail",
          message: `${entry.name}: waiting for process ${holder?.pid ?? "unknown"}, which is fetching it`,
        }),
    },
  );
  const blob = await obtaining.catch(async (error: unknown) => {
    if (error instanceof CacheTakesNothing) throw error;
    // Before it began, nothing but the cache was asked for anything.
    const isInTheWay = begun ? await isCacheInTheWay(error, context) : isUnusable(error);
    throw isInTheWay
      ? new CacheTakesNothing("", seen.cacheTakesNothing === true ? {} : { cause: error })
      : error;
  });
  try {
    if (!isPlain) await removeCompressed(entry.digest, session);
    for (const file of files) await materializeFile(file, blob.path, context);
  } catch (error) {
    // Of the two disks the cache's may be the one that failed.
    if (!isLocal(error) || errno(error.cause) !== "EIO") throw error;
    const cause = cacheFailure(cache.root, error.cause);
    throw new CacheTakesNothing("", seen.cacheTakesNothing === true ? {} : { cause });
  } finally {
    blob.release();
  }
  return blob.outcome;
}

/** Whether an error says that the cache can't take something, and the target may all the same. */
async function isCacheInTheWay(error: unknown, { session, root }: FetchContext): Promise<boolean> {
  if (!isLocal(error) || !isUnusable(error)) return false;
  const isFull = errno(error.cause) === "ENOSPC";
  return !(isFull && (await onOneDisk(session.cache.root, root)));
}

/**
 * Lets a blob grow at a place in the cache. Where the cache takes nothing, what lies there is taken over to
 * the target, and `CacheTakesNothing` or the failure thrown.
 */
async function orTakenOver(
  file: WantedFile,
  place: JournalPlace,
  context: FetchContext,
  grow: () => Promise<void>,
): Promise<void> {
  let failure: unknown = new CacheTakesNothing();
  if (context.seen.cacheTakesNothing !== true) {
    try {
      await grow();
      return;
    } catch (error) {
      failure = error;
    }
    if (!(await isCacheInTheWay(failure, context))) throw failure;
  }
  if (await takeOver(file, place, context)) {
    await removeGrown(place).catch(() => undefined);
  }
  throw failure;
}

/** Lets a compressed blob grow in the cache, under a lock of its own, and decompresses it to `output`. */
async function downloadCompressed(
  file: WantedFile,
  output: string,
  context: FetchContext,
  progress: FetchProgress,
): Promise<void> {
  const { cache } = context.session;
  const { entry } = file;
  const growIn = (place: JournalPlace): Promise<void> =>
    orTakenOver(file, place, context, () => download(entry, place, output, context, progress));
  // Never waited for: two originals whose locks are held already could wait for each other's blob.
  const lock = await whereLockable(() => cache.tryLock(entry.digest));
  if (lock !== undefined) {
    try {
      await growIn({
        partial: cache.partialPath(entry.digest),
        journal: cache.journalPath(entry.digest),
      });
    } finally {
      lock.release();
    }
    return;
  }
  const partial = await cache.tempPath("blob");
  try {
    await growIn({ partial, journal: `${partial}.journal` });
  } finally {
    await removeParts(partial);
    await cache.discardTemp(partial);
  }
}

/**
 * Removes what an original was decompressed from, once that is in its place: until then a run that is
 * killed leaves it to the next one.
 */
async function removeCompressed(digest: Digest, session: Session): Promise<void> {
  const { cache } = session;
  const place = { partial: cache.partialPath(digest), journal: cache.journalPath(digest) };
  if ((await statBlob(place.partial)) === undefined) return;
  const lock = await whereLockable(() => cache.tryLock(digest));
  if (lock === undefined) return;
  try {
    await removeGrown(place);
  } catch {
    // In a cache of another user's the parts are for its owner.
  } finally {
    lock.release();
  }
}
