import { OcibundleError } from "../../errors.ts";
import { dropOldest } from "../../flow/drop-oldest.ts";
import { parallel } from "../../flow/parallel.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { WorkerPool } from "../../runtime/worker-pool.ts";
import type { FollowJob } from "../../runtime/worker-protocol.ts";
import { assembledCache, keepContent } from "../../store/cache/assembled.ts";
import { type ObtainedBlob, obtainBlob, requireBlob } from "../../store/cache/obtain.ts";
import { openPartRecords } from "../../store/records/part-records.ts";
import type { Downloader } from "../../transfer/download/download.ts";
import { type JournalPlace, removeGrown } from "../../transfer/download/download-journal.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { contentOf, contentText, type FilePlan } from "../parts/file-plan.ts";
import { assembleFile } from "../pull/assemble-file.ts";
import { createAssembly } from "../pull/assembly.ts";
import { labelOf } from "../pull/pull-download.ts";
import { hasShare, noteParts } from "../pull/part-pull.ts";
import { findSeeds, type Seeds } from "../pull/seeds.ts";
import type { Session } from "../session/session.ts";
import type { Feed } from "./blob-feed.ts";

/** Files that are remembered to have been hashed as a whole; of those that are not, each answer begins with that. */
const mostHashed = 4096;

/** Parts of a file that are fetched at once: who reads it waits for the first of them. */
const partsAtOnce = 4;

/** A file in parts, and where the parts come from. */
export interface FileOfParts {
  reader: ContentReader;
  entry: WeightEntry;
  plan: FilePlan;
}

/**
 * Files that are put together from parts. Each is in the cache of such files, as after a pull, and before its last
 * byte is sent it was hashed as a whole as well: clients know it by the digest that the recipe says.
 */
export interface PartsFetcher {
  /** Whether the cache has the file, whatever its digest is. */
  has(plan: FilePlan): Promise<boolean>;
  /** The file in the cache, where it is known to have the digest that is said of it. Its use is noted. */
  find(entry: WeightEntry, plan: FilePlan): Promise<string | undefined>;
  /**
   * Puts a file together in the cache, unless it is there; its feed is told of each byte. Throws as
   * `assembleFile`, and `integrity` where the file has another digest than the recipe says.
   */
  obtain(file: FileOfParts, feed: Feed, signal: AbortSignal): Promise<ObtainedBlob>;
  /**
   * Makes a file that is a blob of parts that lie on this machine, and of ranges of the blob; it is verified as a
   * whole. False, and nothing is done, where too little of it is here. Throws as `assembleFile`.
   */
  assembleBlob(
    file: FileOfParts,
    place: JournalPlace,
    feed: Feed,
    signal: AbortSignal,
  ): Promise<boolean>;
  /** Notes which parts a file in the cache that is a blob has, as far as its recipe says. */
  noteBlob(plan: FilePlan, path: string): Promise<void>;
  remove(plan: FilePlan): Promise<void>;
}

/** What the fetches of one server share. */
export interface PartsFetcherOptions {
  session: Session;
  downloader: Downloader;
  /** Hash files as a whole while they grow. */
  followers: WorkerPool;
  /** Hash, copy and decode parts; others than the followers, which wait for them. */
  workers: WorkerPool;
}

/** Fetches parts for the files of one server. */
export function createPartsFetcher(options: PartsFetcherOptions): PartsFetcher {
  const { session, followers } = options;
  const assembled = assembledCache(session.cache);
  /** The digest of files as a whole, the oldest first: what a key names is always the same bytes. */
  const hashed = new Map<string, string>();
  const records = openPartRecords(session.cache);
  const seedsOf = (plan: FilePlan, signal: AbortSignal): Promise<Seeds> =>
    findSeeds([plan], { records, files: [], workers: options.workers, signal });
  const check = ({ entry, plan }: FileOfParts, found: string): void => {
    hashed.delete(plan.key);
    hashed.set(plan.key, found);
    dropOldest(hashed, mostHashed);
    if (found !== plan.claim) throw lying(entry, plan);
  };

  const grow = async (
    file: FileOfParts,
    place: JournalPlace,
    feed: Feed,
    signal: AbortSignal,
  ): Promise<void> => {
    const { plan } = file;
    const whole = followed(place.partial, plan, followers);
    const assemble = async (stop: AbortSignal): Promise<void> =>
      assemblePlan(file, place, options, {
        signal: stop,
        seeds: await seedsOf(plan, stop),
        onFront(front, proven) {
          feed.front(front, proven);
          whole.front(proven);
        },
      });
    feed.grow(place.partial, false);
    try {
      const both = [whole.digest, (stop: AbortSignal) => assemble(stop).then(() => undefined)];
      const [found] = await parallel(both, both.length, signal, (work, stop) => work(stop));
      check(file, found ?? "");
    } catch (error) {
      const isWrong = error instanceof OcibundleError && error.code === "integrity";
      if (isWrong && !signal.aborted) await removeGrown(place);
      throw error;
    }
    // Before it has its name: who finds it there must be able to verify it.
    await keepContent(assembled, plan.key, contentText(plan));
    feed.verify();
  };

  return {
    has: ({ key, size }) => assembled.has({ digest: key, size }, session.signal),
    async find({ name }, { key, size, claim }) {
      if (hashed.get(key) !== claim) return undefined;
      const path = await assembled.find({ digest: key, size }, session.signal);
      if (path !== undefined) await assembled.noteUse(key, { name });
      return path;
    },
    async obtain(file, feed, signal) {
      const { entry, plan, reader } = file;
      const known = hashed.get(plan.key);
      if (known !== undefined && known !== plan.claim) throw lying(entry, plan);
      const obtained = requireBlob(
        await obtainBlob(
          assembled,
          { digest: plan.key, size: plan.size },
          {
            signal,
            use: { name: entry.name, origin: reader.name },
            fetch: (partial, journal) => grow(file, { partial, journal }, feed, signal),
          },
        ),
      );
      const { path, outcome } = obtained;
      try {
        if (outcome === "fetched") {
          await records.add(path, contentOf(plan));
        } else if (!hashed.has(plan.key)) {
          // A pull has put it together, which does not compute its digest.
          feed.grow(path, false);
          feed.front(plan.size, plan.size);
          const whole = followed(path, plan, followers);
          whole.front(plan.size);
          check(file, await whole.digest(signal));
        }
        return obtained;
      } catch (error) {
        obtained.release();
        throw error;
      }
    },
    async assembleBlob(file, place, feed, signal) {
      const seeds = await seedsOf(file.plan, signal);
      if (!hasShare(file.plan, seeds)) return false;
      feed.grow(place.partial, false);
      // A recipe proves nothing of a blob: no byte is right before the whole is.
      const onFront = (front: number): void => feed.front(front);
      await assemblePlan(file, place, options, { signal, seeds, onFront });
      return true;
    },
    noteBlob: (plan, path) => noteParts(plan, { path, cache: session.cache, records }),
    remove: ({ key }) => assembled.remove(key),
  };
}

interface AssembleOptions {
  signal: AbortSignal;
  seeds: Seeds;
  onFront(front: number, proven: number): void;
}

async function assemblePlan(
  { reader, entry, plan }: FileOfParts,
  place: JournalPlace,
  { session, downloader, workers }: PartsFetcherOptions,
  { signal, seeds, onFront }: AssembleOptions,
): Promise<void> {
  const records = openPartRecords(session.cache);
  const context = {
    session: { ...session, signal },
    source: reader,
    downloader,
    workers,
    partsAtOnce,
    assembly: createAssembly(new Map([[entry, plan]]), { seeds, records, checkWhole: false }),
    parts: new Map(),
    root: session.tempDir,
    force: false,
    useCache: true,
    link: "auto" as const,
    alone: false,
    seen: {},
  };
  await assembleFile(entry, plan, place, context, {
    start() {},
    tell() {},
    reuse() {},
    takeBack() {},
    front: (front, proven = 0) => onFront(front, proven),
  });
}

/** The digest of a file, computed behind a front while it grows. */
function followed(path: string, { size }: FilePlan, followers: WorkerPool) {
  const shared = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT));
  const job: FollowJob = { path, size, algorithm: "sha256", front: shared };
  const begun = Promise.withResolvers<void>();
  return {
    /** The file is there, and its bytes up to `front` will not change. */
    front(front: number): void {
      Atomics.store(shared, 0, BigInt(front));
      Atomics.notify(shared, 0);
      begun.resolve();
    },
    async digest(stop: AbortSignal): Promise<string> {
      stop.addEventListener("abort", () => begun.resolve(), { once: true });
      await begun.promise;
      stop.throwIfAborted();
      return `sha256:${(await followers.follow(job, { signal: stop })).hex}`;
    },
  };
}

const lying = (entry: WeightEntry, { claim }: FilePlan): OcibundleError =>
  new OcibundleError(
    "integrity",
    `${labelOf(entry)}: its parts are valid, but the whole file does not match digest ${claim}`,
  );
