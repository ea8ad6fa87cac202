import type { BigIntStats } from "node:fs";
import { stat } from "node:fs/promises";
import { setImmediate as breathe, setTimeout as sleep } from "node:timers/promises";
import pLimit from "p-limit";
import { OcibundleError, errno } from "../errors.ts";
import { packSmallFile, smallFileBytes } from "../runtime/small-file.ts";
import { createWorkerPool, type WorkerPool } from "../runtime/worker-pool.ts";
import { type Codec, fileEndedCode, type PackedFile } from "../runtime/worker-protocol.ts";
import type { Cache } from "../store/cache.ts";
import {
  clockTicks,
  type FileRecords,
  isUnchanged,
  type KnownFile,
  unsettledFor,
} from "../store/file-records.ts";
import type { EmitEvent } from "../transfer/events.ts";
import { compressWeight } from "./compress-weight.ts";
import { type CompressionChoice, compressionLevels, minSaving } from "./compression.ts";
import { notAFile, unreadable } from "./weight-folder.ts";

/** A weight file that is to be read, and how it is to be stored. */
export interface WantedFile {
  name: string;
  path: string;
  /** Called with the file's size in bytes. */
  choose(size: number): CompressionChoice;
}

type Sha256 = `sha256:${string}`;

/** What a weight file holds. Sizes in bytes. */
export interface WeightContent {
  digest: Sha256;
  size: number;
  /** What it is stored as when it is compressed. */
  stored?: { codec: Codec; digest: Sha256; size: number };
  /** Whether the file was read; if not, it is unchanged since it was read last. */
  read: boolean;
}

export interface ReadOptions {
  records: FileRecords;
  cache: Pick<Cache, "root" | "tempPath" | "discardTemp" | "putFile">;
  signal: AbortSignal;
  emit: EmitEvent;
  /** How many files are read at once. */
  workers: number;
}

/** Files looked at at once. */
const statsAtOnce = 32;
/** So much in small files is read without the cost of starting a worker. In bytes. */
const inlineBytes = 4 * 1024 * 1024;
/** Small files go to a worker by so many, or by so many bytes. */
const batch = { files: 256, bytes: 16 * 1024 * 1024 } as const;

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
  const limit = pLimit(statsAtOnce);
  const files = await Promise.all(wanted.map((file) => limit(() => lookAt(file, options))));
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

interface OpenFile extends WantedFile {
  stats: BigIntStats;
  size: number;
  choice: CompressionChoice;
  known: KnownFile | undefined;
  content?: WeightContent;
}

async function lookAt(file: WantedFile, { records, signal }: ReadOptions): Promise<OpenFile> {
  signal.throwIfAborted();
  const stats = await statWeight(file.path);
  const size = Number(stats.size);
  // Many registries refuse a blob of zero bytes; gzip makes twenty of them.
  const choice = size === 0 ? "gzip" : file.choose(size);
  const known = await records.find(file.path, stats);
  const content = known === undefined ? undefined : contentOf(known, size, choice);
  return { ...file, stats, size, choice, known, ...(content === undefined ? {} : { content }) };
}

async function statWeight(path: string): Promise<BigIntStats> {
  let stats: BigIntStats;
  try {
    stats = await stat(path, { bigint: true });
  } catch (cause) {
    throw unreadable(path, cause);
  }
  if (!stats.isFile()) throw notAFile(path, stats);
  return stats;
}

/** What a record says about a file that is to be stored as `choice`, if it says enough. */
function contentOf(
  known: KnownFile,
  size: number,
  choice: CompressionChoice,
): WeightContent | undefined {
  const codec = choice === "auto" ? known.auto : choice;
  if (codec === undefined) return undefined;
  const original = { digest: known.digest as Sha256, size, read: false };
  if (codec === "none") return original;
  const stored = known[codec];
  if (stored === undefined) return undefined;
  return { ...original, stored: { codec, digest: stored.digest as Sha256, size: stored.size } };
}

/** Waits until the times of files that were written a moment ago can be relied on: 20 ms at most. */
async function settle(files: readonly OpenFile[], signal: AbortSignal): Promise<void> {
  const now = Date.now();
  const waits = files
    .map(({ stats }) => unsettledFor(stats, now))
    .filter((wait) => wait > 0 && wait <= clockTicks.fine + 1);
  if (waits.length > 0) await sleep(Math.max(...waits), undefined, { signal });
}

async function readAll(files: readonly OpenFile[], options: ReadOptions): Promise<void> {
  const small = files.filter(({ size }) => size <= smallFileBytes);
  const large = files
    .filter(({ size }) => size > smallFileBytes)
    .toSorted((a, b) => b.size - a.size);
  options.emit({
    type: "phase",
    phase: "hash",
    items: files.length,
    bytes: sum(files),
  });
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const pool = createWorkerPool(options.workers);
  const run: Run = { ...options, signal, pool };
  const jobs = [
    ...large.map((file) => readLarge(file, run)),
    ...(small.length === 0 ? [] : [readSmall(small, run)]),
  ];
  try {
    await Promise.all(jobs);
  } catch (error) {
    // The others let go of their files first, so that nothing is written after this has thrown.
    failed.abort(error);
    await Promise.allSettled(jobs);
    throw error;
  } finally {
    pool.close();
  }
}

interface Run extends ReadOptions {
  pool: WorkerPool;
}

async function readLarge(file: OpenFile, run: Run): Promise<void> {
  const began = Date.now();
  try {
    const auto = file.choice === "auto" ? await judge(file, run) : undefined;
    const codec = file.choice === "auto" ? auto : file.choice;
    const verdict = auto === undefined ? {} : { auto };
    if (codec !== undefined && codec !== "none") {
      const { input, output } = await drawn(file, "compress", run, (onBytes) =>
        compressWeight(file, codec, { ...run, onBytes }),
      );
      await finish(file, began, { original: input, ...verdict, stored: { codec, ...output } }, run);
      return;
    }
    if (file.known !== undefined) {
      const original = { digest: file.known.digest as Sha256, size: file.size };
      await finish(file, began, { original, ...verdict }, run);
      return;
    }
    const { path, size } = file;
    const [original] = await drawn(file, "hash", run, (onBytes) =>
      run.pool.hash([{ path, start: 0, end: size }], { signal: run.signal, onBytes }),
    );
    if (original === undefined) throw new Error("a file was hashed to nothing");
    await finish(file, began, { original, ...verdict }, run);
  } catch (error) {
    throw readFailure(file, error);
  }
}

async function judge({ path, size }: OpenFile, { pool, signal }: Run): Promise<"none" | "zstd"> {
  const [saved] = await pool.probe([{ path, size }], { signal });
  return saved !== undefined && saved >= minSaving ? "zstd" : "none";
}

/** Does work on a file while its progress is told. */
async function drawn<T>(
  { name, size }: OpenFile,
  phase: "hash" | "compress",
  { emit }: Run,
  work: (onBytes: (bytes: number) => void) => Promise<T>,
): Promise<T> {
  emit({ type: "start", phase, item: name, group: "weights", bytes: size });
  const result = await work((bytes) => emit({ type: "progress", phase, item: name, bytes }));
  emit({ type: "done", phase, item: name });
  return result;
}

const packOptions = { levels: compressionLevels, minSaving };

async function readSmall(files: readonly OpenFile[], run: Run): Promise<void> {
  const item = files.length === 1 ? (files[0]?.name ?? "") : `${files.length} small files`;
  const bytes = sum(files);
  run.emit({ type: "start", phase: "hash", item, group: "weights", bytes });
  const inline = bytes <= inlineBytes;
  await Promise.all(
    batches(files).map(async (some) => {
      const began = Date.now();
      const results = inline ? await packInline(some, run) : await packInWorker(some, run);
      for (const [index, file] of some.entries()) {
        const packed = results[index];
        if (packed === undefined) throw new Error("a small file was not read");
        await finish(file, began, packed, run);
      }
      run.emit({ type: "progress", phase: "hash", item, bytes: sum(some) });
    }),
  );
  run.emit({ type: "done", phase: "hash", item });
}

async function packInline(files: readonly OpenFile[], { signal }: Run): Promise<PackedFile[]> {
  const results: PackedFile[] = [];
  for (const [index, file] of files.entries()) {
    if (index % 16 === 15) await breathe();
    signal.throwIfAborted();
    try {
      results.push(packSmallFile(file, packOptions));
    } catch (error) {
      throw readFailure(file, error);
    }
  }
  return results;
}

async function packInWorker(files: readonly OpenFile[], run: Run): Promise<PackedFile[]> {
  const plain = files.map(({ path, size, choice }) => ({ path, size, choice }));
  try {
    return await run.pool.pack(plain, packOptions, { signal: run.signal });
  } catch (error) {
    const item = (error as { item?: unknown }).item;
    const file = typeof item === "number" ? files[item] : undefined;
    throw file === undefined ? error : readFailure(file, error);
  }
}

function batches(files: readonly OpenFile[]): OpenFile[][] {
  const all: OpenFile[][] = [];
  let current: OpenFile[] = [];
  let bytes = 0;
  for (const file of files) {
    if (current.length === batch.files || (current.length > 0 && bytes + file.size > batch.bytes)) {
      all.push(current);
      current = [];
      bytes = 0;
    }
    current.push(file);
    bytes += file.size;
  }
  if (current.length > 0) all.push(current);
  return all;
}

/** Makes sure that the file is what it was before it was read, and notes what it holds. */
async function finish(
  file: OpenFile,
  began: number,
  { original, auto, stored }: PackedFile,
  { records }: ReadOptions,
): Promise<void> {
  const now = await statWeight(file.path);
  if (original.size !== file.size || !isUnchanged(file.stats, now)) throw changed(file);
  const { digest, size } = original;
  await records.add(file.path, file.stats, began, {
    digest,
    ...(auto === undefined ? {} : { auto }),
    ...(stored === undefined
      ? {}
      : { [stored.codec]: { digest: stored.digest, size: stored.size } }),
  });
  file.content = { digest, size, read: true, ...(stored === undefined ? {} : { stored }) };
}

const changed = ({ path }: OpenFile): OcibundleError =>
  new OcibundleError("integrity", `"${path}" changed while it was being read`, {
    hint: "lock it when nothing writes to it any more",
  });

function readFailure(file: OpenFile, error: unknown): unknown {
  if (error instanceof OcibundleError) return error;
  const code = errno(error);
  if (code === fileEndedCode) return changed(file);
  return code === undefined ? error : unreadable(file.path, error);
}

const sum = (files: readonly { size: number }[]): number =>
  files.reduce((total, { size }) => total + size, 0);
