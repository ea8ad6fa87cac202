import { errno, isLocal } from "../../errors.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import { statBlob } from "../../store/cache/entry.ts";
import { cacheFailure } from "../../store/cache/directory.ts";
import { isCacheFault, obtainBlob, type Unusable } from "../../store/cache/obtain.ts";
import { whereLockable } from "../../store/locks/where-possible.ts";
import { onOneDisk } from "../../store/placement/disk-space.ts";
import {
  type JournalPlace,
  readJournal,
  removeGrown,
} from "../../transfer/download/download-journal.ts";
import type { FetchContext, FetchOutcome } from "./pull-context.ts";
import { removeParts } from "./fetch-in-place.ts";
import { download, type FetchProgress, storedBlob } from "./pull-download.ts";
import { materializeFile } from "./place-file.ts";
import type { WantedFile } from "./pull-plan.ts";
import { sayUnlocked } from "./pull-warnings.ts";
import { movePartial } from "./move-partial.ts";
import { fileFault } from "../../runtime/file-faults.ts";
import type { Session } from "../session/session.ts";

/**
 * Fetches an original into the cache, unless it is there, and gives it to its files. Resolves to `unusable`
 * where only the cache is in the way; what was fetched lies where `fetchInPlace` goes on from it then.
 */
export async function fetchViaCache(
  files: readonly [WantedFile, ...WantedFile[]],
  context: FetchContext,
  progress: FetchProgress,
): Promise<FetchOutcome | Unusable> {
  const { session, source } = context;
  const { cache, signal, emit } = session;
  const [first] = files;
  const { entry } = first;
  const isPlain = entry.digest === entry.digestOriginal;
  let begun = false;
  const fetch = async (path: string, journal: string): Promise<void | Unusable> => {
    begun = true;
    if (!isPlain) return downloadCompressed(first, path, context, progress);
    const place = { partial: path, journal };
    return growOrMove(first, place, storedBlob(entry), context, () =>
      download(entry, place, path, context, progress),
    );
  };
  const obtained = await obtainBlob(
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
          message: `${entry.name}: process ${holder?.pid ?? "unknown"} is downloading it; waiting`,
        }),
    },
  );
  if (obtained.kind === "unusable") {
    // Before it began, nothing but the cache was asked for anything.
    if (begun && !(await mayGoWithout(obtained.why, context))) throw obtained.why;
    return obtained;
  }
  try {
    if (!isPlain) await removeCompressed(entry.digest, session);
    for (const file of files) await materializeFile(file, obtained.path, context);
  } catch (error) {
    // Of the two disks the cache's may be the one that failed.
    if (!isLocal(error) || errno(error.cause) !== "EIO") throw error;
    return { kind: "unusable", why: cacheFailure(cache.root, error.cause) };
  } finally {
    obtained.release();
  }
  return obtained.outcome;
}

/** Whether the target may take what the cache can't: not where both are on one disk that is full. */
export async function mayGoWithout(
  why: unknown,
  { session, root }: FetchContext,
): Promise<boolean> {
  const isFull = errno(fileFault(why)) === "ENOSPC";
  return !(isFull && (await onOneDisk(session.cache.root, root)));
}

/**
 * Lets a blob grow at a place in the cache. Where the cache takes nothing, what lies there is moved to the
 * target. `blob` is what its journal names.
 */
export async function growOrMove(
  file: WantedFile,
  place: JournalPlace,
  blob: Descriptor,
  context: FetchContext,
  grow: () => Promise<void>,
): Promise<void | Unusable> {
  const { cache } = context.session;
  let why: unknown;
  if (context.seen.cacheTakesNothing !== true) {
    try {
      return await grow();
    } catch (error) {
      if (!isCacheFault(cache, error) || !(await mayGoWithout(error, context))) throw error;
      why = cacheFailure(cache.root, fileFault(error));
    }
  }
  // What no journal speaks for is of no use to the next run either.
  const isMoved = await movePartial(file, place, blob, context);
  if (isMoved || (await readJournal(place, blob)) === undefined) {
    await removeGrown(place).catch(() => undefined);
  }
  return { kind: "unusable", why };
}

/** Lets a compressed blob grow in the cache, under a lock of its own, and decompresses it to `output`. */
async function downloadCompressed(
  file: WantedFile,
  output: string,
  context: FetchContext,
  progress: FetchProgress,
): Promise<void | Unusable> {
  const { cache } = context.session;
  const { entry } = file;
  const growIn = (place: JournalPlace): Promise<void | Unusable> =>
    growOrMove(file, place, storedBlob(entry), context, () =>
      download(entry, place, output, context, progress),
    );
  // Never waited for: two originals whose locks are held already could wait for each other's blob.
  const lock = await whereLockable(() => cache.tryLock(entry.digest));
  if (lock !== undefined) {
    try {
      return await growIn({
        partial: cache.partialPath(entry.digest),
        journal: cache.journalPath(entry.digest),
      });
    } finally {
      lock.release();
    }
  }
  const partial = await cache.tempPath("blob");
  try {
    return await growIn({ partial, journal: `${partial}.journal` });
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
