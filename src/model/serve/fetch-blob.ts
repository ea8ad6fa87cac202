import type { ContentReader } from "../../oci/content.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { type ObtainedBlob, obtainBlob, requireBlob } from "../../store/cache/obtain.ts";
import { whereLockable } from "../../store/locks/where-possible.ts";
import type { Downloader } from "../../transfer/download/download.ts";
import { removeGrown } from "../../transfer/download/download-journal.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import type { BlobPart } from "../pull/pull-context.ts";
import { download, type FetchProgress } from "../pull/pull-download.ts";
import type { Feed } from "./blob-feed.ts";

/** A file that is a blob, or a part of one. */
interface FileOfBlob {
  reader: ContentReader;
  entry: WeightEntry;
  parts: ReadonlyMap<WeightEntry, BlobPart>;
}

interface FetchBlobOptions {
  cache: Cache;
  downloader: Downloader;
  signal: AbortSignal;
}

/** Fetches a file into the cache, unless it is there; its feed is told of each byte. Throws as `obtainBlob`. */
export async function fetchBlob(
  { reader, entry, parts }: FileOfBlob,
  feed: Feed,
  { cache, downloader, signal }: FetchBlobOptions,
): Promise<ObtainedBlob> {
  const progress: FetchProgress = {
    start() {},
    tell() {},
    reuse() {},
    takeBack() {},
    front: (front) => feed.front(front),
  };
  const context = { session: { signal }, source: reader, downloader, parts };
  const blob = { digest: entry.digestOriginal, size: entry.sizeUncompressed };
  return requireBlob(
    await obtainBlob(cache, blob, {
      signal,
      use: { name: entry.name, origin: reader.name },
      async fetch(path, journal) {
        if (entry.digest === entry.digestOriginal || parts.has(entry)) {
          feed.grow(path, false);
          await download(entry, { partial: path, journal }, path, context, progress);
        } else {
          feed.grow(path, true);
          await withStored(cache, entry, (place) =>
            download(entry, place, path, context, progress),
          );
        }
        // Before it is flushed and named: clients wait for its last byte.
        feed.verify();
      },
    }),
  );
}

/** A place for a blob that is decompressed: one that a killed run's successor goes on from, where it can be locked. */
async function withStored(
  cache: Cache,
  { digest }: WeightEntry,
  work: (place: { partial: string; journal: string }) => Promise<void>,
): Promise<void> {
  const lock = await whereLockable(() => cache.tryLock(digest));
  const partial = lock === undefined ? await cache.tempPath("blob") : cache.partialPath(digest);
  const journal = lock === undefined ? `${partial}.journal` : cache.journalPath(digest);
  try {
    await work({ partial, journal });
    await removeGrown({ partial, journal });
  } finally {
    if (lock === undefined) await cache.discardTemp(partial);
    lock?.release();
  }
}
