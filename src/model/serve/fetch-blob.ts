import type { ContentReader } from "../../oci/content.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { type ObtainedBlob, obtainBlob, requireBlob } from "../../store/cache/obtain.ts";
import { whereLockable } from "../../store/locks/where-possible.ts";
import type { Downloader } from "../../transfer/download/download.ts";
import { type JournalPlace, removeGrown } from "../../transfer/download/download-journal.ts";
import type { RecentBlocks } from "../../transfer/download/recent-blocks.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import type { FilePlan } from "../parts/file-plan.ts";
import type { BlobPart } from "../pull/pull-context.ts";
import { download, type FetchProgress } from "../pull/pull-download.ts";
import type { Feed } from "./blob-feed.ts";
import type { PartsFetcher } from "./fetch-parts.ts";

/** A file that is a blob, or a part of one. */
interface FileOfBlob {
  reader: ContentReader;
  entry: WeightEntry;
  parts: ReadonlyMap<WeightEntry, BlobPart>;
  /** How it can be made of parts that lie on this machine. */
  delta: FilePlan | undefined;
}

interface FetchBlobOptions {
  cache: Cache;
  downloader: Downloader;
  partsFetcher: PartsFetcher;
  recentBlocks: RecentBlocks;
  signal: AbortSignal;
}

/** Fetches a file into the cache, unless it is there; its feed is told of each byte. Throws as `obtainBlob`. */
export async function fetchBlob(
  { reader, entry, parts, delta }: FileOfBlob,
  feed: Feed,
  { cache, downloader, partsFetcher, recentBlocks, signal }: FetchBlobOptions,
): Promise<ObtainedBlob> {
  const progress: FetchProgress = {
    start() {},
    tell() {},
    reuse() {},
    takeBack() {},
    front: (front) => feed.front(front),
    // Before the disk has it all: clients wait for its last byte.
    verified: () => feed.verify(),
  };
  const recent = recentBlocks.file();
  const context = { session: { signal }, source: reader, downloader, parts, recent };
  const blob = { digest: entry.digestOriginal, size: entry.sizeUncompressed };
  const assemble = async (place: JournalPlace): Promise<boolean> =>
    delta !== undefined &&
    (await partsFetcher.assembleBlob({ reader, entry, plan: delta }, place, feed, signal));
  const obtained = requireBlob(
    await obtainBlob(cache, blob, {
      signal,
      use: { name: entry.name, origin: reader.name },
      async fetch(path, journal) {
        const isAssembled = await assemble({ partial: path, journal });
        if (!isAssembled && (entry.digest === entry.digestOriginal || parts.has(entry))) {
          feed.grow(path, false, recent);
          await download(entry, { partial: path, journal }, path, context, progress);
        } else if (!isAssembled) {
          feed.grow(path, true);
          await withStored(cache, entry, (place) =>
            download(entry, place, path, context, progress),
          );
        }
        feed.verify();
      },
    }),
  );
  try {
    if (delta !== undefined && obtained.outcome === "fetched") {
      await partsFetcher.noteBlob(delta, obtained.path);
    }
    return obtained;
  } catch (error) {
    obtained.release();
    throw error;
  }
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
