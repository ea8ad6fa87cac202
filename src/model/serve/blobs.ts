import { availableParallelism } from "node:os";
import pLimit, { type LimitFunction } from "p-limit";
import { OcibundleError } from "../../errors.ts";
import type { ByteRange, ContentReader } from "../../oci/content.ts";
import type { Digest } from "../../oci/digest.ts";
import { withinOpenFiles } from "../../runtime/open-files.ts";
import type { CachedShare } from "../../runtime/page-cache.ts";
import type { HubBytes } from "../../serve/hub-source.ts";
import type { Downloader } from "../../transfer/download/download.ts";
import { recentBlocks } from "../../transfer/download/recent-blocks.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { isSmall } from "../pull/pull-context.ts";
import type { Session } from "../session/session.ts";
import { answerMemory } from "./answer-memory.ts";
import { createFeed, type Feed } from "./blob-feed.ts";
import { type DiskReader, diskReads } from "./disk-reads.ts";
import { fetchBlob } from "./fetch-blob.ts";
import type { PartsFetcher } from "./fetch-parts.ts";
import { fileBytes } from "./file-bytes.ts";
import type { Located } from "./snapshot.ts";
import type { WrongFiles } from "./wrong-files.ts";
import { openRegular } from "../../runtime/regular-file.ts";
import { isGlance, glance } from "./glance.ts";

/** Files fetched at once. Each large one is hashed meanwhile; a client that waits gives up after 10 s. */
const largeAtOnce = withinOpenFiles(16, 12);
const smallAtOnce = withinOpenFiles(32, 8);

/** Workers that hash what is fetched: one for each large file that is fetched at once. */
export const feedWorkers = largeAtOnce;
/** The threads that those workers share: one hashes more than a gigabyte a second. */
export const feedThreads = Math.min(4, availableParallelism());

/** How long the first byte is waited for before an answer begins, in milliseconds: clients give up after 10 s. */
const firstByte = 8000;

/** How long a fetch goes on that nobody waits for, in milliseconds: a client may come again. */
const linger = 10_000;

/** How long a failure is the answer to who asks again, in milliseconds. */
const failureKept = 2000;

/** How long a file that is not to be kept stays after its last use, in milliseconds. */
const unkept = 60_000;

/** The bytes of files: from the cache, or fetched into it once for all who ask. */
export interface Blobs {
  read(
    reader: ContentReader,
    located: Located,
    range: ByteRange,
    signal: AbortSignal,
  ): Promise<HubBytes>;
  isTainted(digest: Digest): boolean;
  /**
   * Resolves when every fetch has let go of its files, and the cache has what was noted in it. They are to be ended by
   * the session's signal, and answers before.
   */
  settle(): Promise<void>;
}

interface Fetch {
  feed: Feed;
  work: Promise<void>;
}

/** What names the bytes of a file. What a recipe says of a whole file may be a lie: then it is its parts. */
const nameOf = ({ entry, plan }: Located): Digest => plan?.key ?? entry.digestOriginal;

const failureKey = (reader: ContentReader, located: Located): string =>
  `${nameOf(located)} ${reader.name}`;

/** The bytes of files for one server. */
export function createBlobs({
  session,
  downloader,
  partsFetcher,
  wrongFiles,
  offline,
  keep,
  cachedShare,
}: {
  session: Session;
  downloader: Downloader;
  partsFetcher: PartsFetcher;
  wrongFiles: WrongFiles;
  offline: boolean;
  /** Whether files stay in the cache; else until they were not used for a while. */
  keep: boolean;
  cachedShare: CachedShare | undefined;
}): Blobs {
  const { cache, signal: ending, emit } = session;
  const memory = answerMemory();
  const disk = diskReads(cachedShare);
  const recent = recentBlocks();
  const fetches = new Map<Digest, Fetch>();
  /** By the source and the name of the bytes: another source may have them. */
  const failures = new Map<string, unknown>();
  const removals = new Map<Digest, ReturnType<typeof setTimeout>>();
  /** What is noted in the cache while answers go on. */
  const notes = new Set<Promise<void>>();
  const note = (work: Promise<unknown>): void => {
    const noted: Promise<void> = work.catch(() => undefined).then(() => void notes.delete(noted));
    notes.add(noted);
  };
  const used = (located: Located): void => {
    if (keep) return;
    const { plan } = located;
    const name = nameOf(located);
    clearTimeout(removals.get(name));
    const remove = (): void => {
      removals.delete(name);
      note(plan === undefined ? cache.remove(name) : partsFetcher.remove(plan));
    };
    removals.set(name, setTimeout(remove, unkept).unref());
  };
  const limits = { large: pLimit(largeAtOnce), small: pLimit(smallAtOnce) };

  const cached = async (located: Located, range: ByteRange): Promise<HubBytes | undefined> => {
    const { entry, plan } = located;
    const blob = { digest: entry.digestOriginal, size: entry.sizeUncompressed };
    const whole = await cache.find(blob, ending);
    if (whole !== undefined) note(cache.noteUse(blob.digest, { name: entry.name }));
    const path = whole ?? (plan === undefined ? undefined : await partsFetcher.find(entry, plan));
    if (path === undefined) return undefined;
    try {
      // Once it is open, nothing takes it away.
      const file = await openRegular(path);
      used(located);
      const opened = { file: file.fd, name: nameOf(located), size: blob.size };
      const begin = (): DiskReader => disk.begin(opened, range);
      return { from: "cache", chunks: fileBytes(file, range, { memory, begin }) };
    } catch {
      return undefined;
    }
  };

  const start = (reader: ContentReader, located: Located): Fetch => {
    const { entry } = located;
    const name = nameOf(located);
    const stop = new AbortController();
    let idle: ReturnType<typeof setTimeout> | undefined;
    const endIfIdle = (patience: number): void => {
      clearTimeout(idle);
      idle = setTimeout(() => {
        if (feed.readers === 0) stop.abort(new Error("no client is waiting for it"));
      }, patience);
      idle.unref();
    };
    const feed = createFeed({
      size: entry.sizeUncompressed,
      memory,
      onIdle: () => endIfIdle(linger),
      onTaint() {
        note(wrongFiles.add(entry.digestOriginal));
      },
    });
    endIfIdle(firstByte + linger);
    const signal = AbortSignal.any([ending, stop.signal]);
    const limit: LimitFunction = isSmall(entry) ? limits.small : limits.large;
    const run = async (): Promise<void> => {
      try {
        await limit(() => obtain(reader, located, feed, signal));
      } catch (error) {
        feed.fail(error);
        const message = error instanceof Error ? error.message : String(error);
        if (!signal.aborted) {
          const failure = failureKey(reader, located);
          failures.set(failure, error);
          setTimeout(() => failures.delete(failure), failureKept).unref();
          emit({ type: "warning", message });
        }
      } finally {
        clearTimeout(idle);
        fetches.delete(name);
      }
    };
    const fetch: Fetch = { feed, work: run() };
    fetches.set(name, fetch);
    return fetch;
  };

  /** Fetches a file into the cache; its feed is told of each byte. */
  const obtain = async (
    reader: ContentReader,
    located: Located,
    feed: Feed,
    signal: AbortSignal,
  ): Promise<void> => {
    const { entry, parts, plan, delta, unpacked } = located;
    const isThere = plan !== undefined && (await partsFetcher.has(plan));
    if (unpacked || (offline && !isThere)) throw lacking(entry, offline);
    const obtained =
      plan === undefined
        ? await fetchBlob({ reader, entry, parts, delta }, feed, {
            cache,
            downloader,
            partsFetcher,
            recentBlocks: recent,
            signal,
          })
        : await partsFetcher.obtain({ reader, entry, plan }, feed, signal);
    feed.settle(obtained.path);
    disk.renew(nameOf(located));
    // Who reads has the file open: it may be pruned from here on.
    obtained.release();
    used(located);
  };

  return {
    async read(reader, located, range, signal) {
      const { entry, plan } = located;
      const name = nameOf(located);
      const known = fetches.get(name);
      if (known === undefined) {
        const there = await cached(located, range);
        if (there !== undefined) return there;
      }
      const failure = failureKey(reader, located);
      if (failures.has(failure)) throw failures.get(failure);
      if (!offline && isGlance(entry, range)) {
        const running = fetches.get(name)?.feed;
        if (running?.has(range) === true) {
          return { from: "registry", chunks: running.bytes(range, { signal, verified: false }) };
        }
        const chunks = await glance(reader, located, range, signal);
        if (chunks !== undefined) return { from: "registry", chunks };
      }
      const isHere = plan !== undefined && (await partsFetcher.has(plan));
      const { feed } = fetches.get(name) ?? start(reader, located);
      await feed.begun(firstByte);
      const from = isHere ? "cache" : "registry";
      return { from, chunks: feed.bytes(range, { signal, verified: true }) };
    },
    isTainted: (digest) => wrongFiles.has(digest),
    async settle() {
      for (const removal of removals.values()) clearTimeout(removal);
      await Promise.all(Array.from(fetches.values(), ({ work }) => work));
      await Promise.all(notes);
    },
  };
}

const lacking = ({ name }: WeightEntry, offline: boolean): OcibundleError =>
  new OcibundleError("network", `the cache has no file "${name}"`, {
    hint: offline ? "omit --offline" : "request it again",
  });
