import { withinOpenFiles } from "../../runtime/open-files.ts";
import { setTimeout as sleep } from "node:timers/promises";
import { parallel } from "../../flow/parallel.ts";
import { smallFileBytes } from "../../runtime/small-file.ts";
import { createWorkerPool } from "../../runtime/worker-pool.ts";
import { clockTicks, type KnownFile, unsettledFor } from "../../store/records/file-records.ts";
import { type CompressionChoice, mostAutoBytes } from "../format/compression.ts";
import { readLarge } from "./read-large-weight.ts";
import { readSmall } from "./read-small-weights.ts";
import {
  knownParts,
  type OpenFile,
  type ReadOptions,
  type Run,
  type Sha256,
  statWeight,
  sum,
  type WantedFile,
  type WeightContent,
} from "./file-state.ts";

/** Files looked at at once. */
const statsAtOnce = 32;

/**
 * Hashes, and where that is wanted compresses, weight files: each is read once, several at a time, and
 * not at all when it is known to be unchanged. Compressed blobs of large files are left in the cache;
 * those of small ones can be made again in no time. Answers in the order of the files.
 *
 * Throws `file` for what can't be read, `integrity` for what changes while it is read.
 */
export async function readWeightFiles(
  wanted: readonly WantedFile[],
  options: ReadOptions,
): Promise<WeightContent[]> {
  const files = await parallel(
    wanted,
    withinOpenFiles(statsAtOnce, 2),
    options.signal,
    (file, signal) => lookAt(file, { ...options, signal }),
  );
  const unread = files.filter((file) => file.content === undefined);
  if (unread.length > 0) {
    await settle(unread, options.signal);
    try {
      await readAll(unread, options);
    } finally {
      await options.records.save();
    }
  }
  return files.map(({ content, path }) => {
    if (content === undefined) throw new Error(`"${path}" was not read`);
    return content;
  });
}

async function lookAt(file: WantedFile, { records, signal }: ReadOptions): Promise<OpenFile> {
  signal.throwIfAborted();
  const stats = await statWeight(file.path);
  const size = Number(stats.size);
  // Many registries refuse a blob of zero bytes; gzip makes twenty of them.
  const choice = size === 0 ? "gzip" : ofWhole(file.choose(size), size);
  const known = await records.find(file.path, stats);
  // What is compressed as a whole is not hashed in parts beside that.
  const cut = file.cut?.isBeside === true && choice !== "none" ? undefined : file.cut;
  const content = known === undefined ? undefined : contentOf(known, size, choice, cut);
  return {
    ...file,
    cut,
    stats,
    size,
    choice,
    known,
    ...(content === undefined ? {} : { content }),
  };
}

const ofWhole = (choice: CompressionChoice, size: number): CompressionChoice =>
  choice === "auto" && size >= mostAutoBytes ? "none" : choice;

/** What a record says about a file that is to be stored as `choice`, if it says enough. */
function contentOf(
  known: KnownFile,
  size: number,
  choice: CompressionChoice,
  cut: WantedFile["cut"],
): WeightContent | undefined {
  const codec = choice === "auto" ? known.auto : choice;
  if (codec === undefined) return undefined;
  const parts = cut === undefined ? undefined : knownParts(known, cut);
  if (cut !== undefined && parts === undefined && cut.isBeside !== true) return undefined;
  const original = { digest: known.digest as Sha256, size, read: false, parts };
  if (codec === "none") return original;
  const stored = known[codec];
  if (stored === undefined) return undefined;
  return { ...original, stored: { codec, digest: stored.digest as Sha256, size: stored.size } };
}

/** Waits until the times of files that were written a moment ago can be relied on: 20 ms at most. */
async function settle(files: readonly OpenFile[], signal: AbortSignal): Promise<void> {
  const now = Date.now();
  let wait = 0;
  for (const { stats } of files) {
    const unsettled = unsettledFor(stats, now);
    if (unsettled <= clockTicks.fine + 1) wait = Math.max(wait, unsettled);
  }
  if (wait > 0) await sleep(wait, undefined, { signal });
}

/** Whether a file is read in one step, without its parts. */
const isSmall = ({ size, cut }: OpenFile): boolean => size <= smallFileBytes && cut === undefined;

async function readAll(files: readonly OpenFile[], options: ReadOptions): Promise<void> {
  const small = files.filter(isSmall);
  const large = files.filter((file) => !isSmall(file)).toSorted((a, b) => b.size - a.size);
  const jobs = [
    ...large.map((file) => (run: Run) => readLarge(file, run)),
    ...(small.length === 0 ? [] : [(run: Run) => readSmall(small, run)]),
  ];
  // All small files are one item.
  options.emit({ type: "phase", phase: "hash", items: jobs.length, bytes: sum(files) });
  const pool = createWorkerPool(options.workers);
  try {
    // Nothing is written after this has thrown: each job has let go of its files then.
    await parallel(jobs, jobs.length, options.signal, (job, signal) =>
      job({ ...options, signal, pool }),
    );
  } finally {
    pool.close();
  }
}
