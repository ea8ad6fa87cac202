import { rm } from "node:fs/promises";
import pLimit from "p-limit";
import { OcibundleError } from "../../errors.ts";
import { digestAlgorithm } from "../../oci/digest.ts";
import { parallel } from "../../flow/parallel.ts";
import { followFile } from "../../runtime/follow-file.ts";
import { withinOpenFiles } from "../../runtime/open-files.ts";
import type { WorkerPool } from "../../runtime/worker-pool.ts";
import type { Codec, Followed, FollowJob } from "../../runtime/worker-protocol.ts";
import type { BlobToFetch } from "./blob-to-fetch.ts";
import { isMisread } from "../../registry/coded-blob.ts";
import type { Clock } from "../../retry/clock.ts";
import { decodingOf } from "./decode.ts";
import { checkSame, undecodable, wrongBytes } from "./download-check.ts";
import { removeGrown } from "./download-journal.ts";
import { type EndingConnections, fetchMissing } from "./download-ranges.ts";
import { pieceSizes } from "./flight.ts";
import { type RangeSupport, rangeSupport } from "./range-work.ts";
import type { EmitEvent } from "../events.ts";
import { openPartialFile } from "./open-partial-file.ts";
import type { PartialFile } from "./partial-file.ts";
import type { RecentFile } from "./recent-blocks.ts";
import type { RetryPolicy } from "../../retry/backoff.ts";
import { defaultPace, type Pace } from "./slow-ranges.ts";
import { MiB } from "../units.ts";
import { unwritable } from "../../runtime/file-faults.ts";

/**
 * Connections of all downloads together, unless told otherwise: over a long way one brings a tenth of
 * what the line can carry. What each has received and not yet written is a megabyte or two of memory.
 */
const defaultConnections = 8;

/** A blob up to this size is hashed where it is, after its last byte: a worker would cost more. */
const inlineBytes = 4 * MiB;

/** Of a blob up to this size, nothing is kept in memory. */
const recentBytes = 32 * MiB;

/** What all downloads of one downloader share. */
export interface DownloadOptions {
  /** Connections of all blobs together. */
  connections?: number | undefined;
  /** Each blob has one of its own besides: whoever waits for its bytes does not wait for those of others. */
  ownConnection?: boolean | undefined;
  /** Hash and decode while blobs arrive; one worker is taken for each large blob. */
  workers: WorkerPool;
  emit: EmitEvent;
  clock?: Clock | undefined;
  retries?: RetryPolicy | undefined;
  pace?: Pace | undefined;
  /** Bytes that were fetched of a blob, as it is stored, when its download has ended or failed. */
  onFetched?: ((bytes: number) => void) | undefined;
}

/** Cancellation and progress of one download. */
export interface DownloadCallOptions {
  signal: AbortSignal;
  /** Further bytes of the blob; those of an earlier run at once and `resumed`; negative when thrown away. */
  onBytes?: ((bytes: number, resumed?: boolean) => void) | undefined;
  /**
   * Called when everything up to `front` is in the partial file, not verified yet; with 0 before each new try,
   * which may bring other bytes.
   */
  onFront?: ((front: number) => void) | undefined;
  /** Called when size and digest are known to be right: the disk, which the end waits for, may take longer. */
  onVerified?: (() => void) | undefined;
  /**
   * Keeps what was just written in memory, for those who read it, and lets the blob come no faster than they read. What
   * is kept goes past the page cache. Not where the blob is small, or decoded.
   */
  recent?: RecentFile | undefined;
}

/** One for a run: its downloads share their connections, and what was seen of registries. */
export interface Downloader {
  /**
   * Fetches a blob, going on from what a former run has left, and checks size and digest; with
   * `original`, those of the original too. Resolves to the path that holds what was asked for: the
   * partial file, or `decoded`. It is not flushed and keeps its name: that is the caller's. Partial file
   * and journal stay until then: a run that is killed while it flushes leaves them to the next one, which
   * fetches nothing. The caller removes them with `removeGrown` when the file has its name.
   *
   * Throws `integrity`, `not_found`, `denied`, `network`, `file`, `system`; after `network`, an interruption or a
   * full disk, partial file and journal stay for the next run.
   */
  download(blob: BlobToFetch, options: DownloadCallOptions): Promise<string>;
  /**
   * Fetches what is missing of a blob into a file, over the same connections; nothing is checked. A blob that
   * is one of many comes over one connection if it is not large and the others, `following` bytes that are fetched
   * after it, occupy the rest of them as long. Throws `not_found`, `denied`, `network`, `file`, `system`.
   */
  fetchInto(
    file: PartialFile,
    blob: Pick<BlobToFetch, "open" | "host" | "label" | "item"> & {
      size: number;
      following: number;
    },
    signal: AbortSignal,
  ): Promise<void>;
}

/** A blob up to this size that is one of many may come over one connection. In bytes. */
const oneStreamBytes = 64 * MiB;

/** So many times its share of what is left to fetch, what comes over one connection may be the last to end. */
const longestShare = 3 / 4;

/** What is fetched last is cut so small that all connections end at about the same time. In bytes. */
const smallestLast = 2 * MiB;

/** Connections for such a blob: its own, and one that repeats a request that is stuck. */
const streamAndRepeat = 2;

/** A downloader for one run: its blobs share connections and workers. */
export function createDownloader(options: DownloadOptions): Downloader {
  const connections = withinOpenFiles(options.connections ?? defaultConnections, 8);
  const limit = pLimit(connections);
  // Who wants one connection gets no second one.
  const most = connections === 1 ? 0 : withinOpenFiles(2 * connections, 8) - connections;
  const ending = { count: 0, most };
  const supports = new Map<string, RangeSupport>();
  const supportOf = (host: string): RangeSupport => {
    const support = supports.get(host) ?? rangeSupport();
    supports.set(host, support);
    return support;
  };
  const settings = (host: string): Settings => ({
    workers: options.workers,
    emit: options.emit,
    clock: options.clock,
    retries: options.retries,
    pace: options.pace ?? defaultPace,
    onFetched: options.onFetched,
    limit,
    ending,
    atOnce: connections,
    ownConnection: options.ownConnection,
    support: supportOf(host),
  });
  return {
    fetchInto: (file, { open, host, label, item, size, following }, signal) => {
      const longest = Math.ceil(((size + following) / connections) * longestShare);
      const inOnePiece = size <= Math.min(oneStreamBytes, longest);
      const smallestPiece = Math.max(smallestLast, Math.min(pieceSizes.smallest, longest));
      return fetchMissing(open, file, size, {
        ...settings(host),
        ...(inOnePiece ? { atOnce: streamAndRepeat, inOnePiece } : { smallestPiece }),
        signal,
        label,
        item,
      });
    },
    async download(blob, call) {
      const decoding = blob.original && decodingOf(blob.descriptor, blob.original);
      if (decoding?.warning !== undefined) {
        options.emit({ type: "warning", message: `${blob.label}: ${decoding.warning}` });
      }
      if (blob.original && decoding?.codec === undefined) checkSame(blob, blob.original);
      const attempt = () => downloadOnce(blob, decoding?.codec, call, settings(blob.host));
      let first: string | undefined;
      try {
        first = await attempt();
      } catch (error) {
        if (!isMisread(error)) throw error;
        options.emit({ type: "detail", message: `${error.message}; trying the other encoding` });
        first = await attempt();
      }
      if (first !== undefined) return first;
      // What a former run left was not what its journal said: nothing of it is kept.
      const message = `${blob.label}: the partial download of an earlier run is damaged; downloading it again`;
      options.emit({ type: "warning", message });
      const second = await attempt();
      if (second === undefined) throw new RangeError("a new download went on from something");
      return second;
    },
  };
}

interface Settings {
  workers: WorkerPool;
  emit: EmitEvent;
  clock: Clock | undefined;
  retries: RetryPolicy | undefined;
  pace: Pace;
  onFetched: DownloadOptions["onFetched"];
  limit: ReturnType<typeof pLimit>;
  ending: EndingConnections;
  atOnce: number;
  ownConnection: boolean | undefined;
  support: RangeSupport;
}

/** One try at a blob: the path, or undefined when what a former run had left is not to be trusted. */
async function downloadOnce(
  blob: BlobToFetch,
  codec: Codec | undefined,
  { signal, onBytes, onFront, onVerified, recent: given }: DownloadCallOptions,
  settings: Settings,
): Promise<string | undefined> {
  const { descriptor, place, label, item, open } = blob;
  const front = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT));
  const recent = codec === undefined && descriptor.size > recentBytes ? given : undefined;
  recent?.restart();
  const job = { ...followJob(blob, codec, front), recent: recent?.shared };
  onFront?.(0);
  const file = await openPartialFile(place, descriptor, {
    onBytes,
    recent,
    onFront(position) {
      Atomics.store(front, 0, BigInt(position));
      Atomics.notify(front, 0);
      recent?.front(position);
      onFront?.(position);
    },
  });
  let wrong: OcibundleError | undefined;
  try {
    const fetching = (stop: AbortSignal) => {
      stop.addEventListener("abort", () => recent?.end(), { once: true });
      const options = { ...settings, signal: stop, label, item, recent };
      return fetchMissing(open, file, descriptor.size, options).then(() => file.drain());
    };
    const following = (stop: AbortSignal) => settings.workers.follow(job, { signal: stop });
    const followed =
      descriptor.size <= inlineBytes
        ? await fetching(signal).then(() => followFile(job))
        : await whileFetching(signal, fetching, following);
    wrong = wrongBytes(blob, followed);
    if (wrong === undefined) onVerified?.();
  } catch (error) {
    if (job.decode !== undefined) await rm(job.decode.output, { force: true });
    wrong = isMisread(error) ? error : undecodable(error, blob, job);
    if (wrong === undefined) {
      throw job.decode === undefined ? error : unwritable(job.decode.output, error);
    }
  } finally {
    recent?.end();
    await file.close();
    if (wrong !== undefined) await removeAll(blob, job);
  }
  if (wrong !== undefined) {
    if (file.resumed === 0) throw wrong;
    onBytes?.(-file.written.bytes);
    return undefined;
  }
  return job.decode === undefined ? place.partial : job.decode.output;
}

function followJob(
  { descriptor, place, original, decoded, label }: BlobToFetch,
  codec: Codec | undefined,
  front: FollowJob["front"],
): FollowJob {
  const { digest, size } = descriptor;
  const job: FollowJob = {
    path: place.partial,
    size,
    algorithm: digestAlgorithm(digest),
    front,
  };
  if (codec === undefined || original === undefined) return job;
  if (decoded === undefined) throw new TypeError(`${label}: there is no place for the original`);
  if (digestAlgorithm(original.digest) !== job.algorithm) {
    const message = `${label}: the digests of blob and original are of different algorithms`;
    throw new OcibundleError("integrity", message);
  }
  return { ...job, decode: { codec, size: original.size, output: decoded } };
}

/** Runs both; the failure of one ends the other and is thrown when both have ended. */
async function whileFetching(
  signal: AbortSignal,
  fetching: (stop: AbortSignal) => Promise<void>,
  following: (stop: AbortSignal) => Promise<Followed>,
): Promise<Followed> {
  const both = [following, (stop: AbortSignal) => fetching(stop).then(() => undefined)];
  const [followed] = await parallel(both, both.length, signal, (work, stop) => work(stop));
  if (followed === undefined) throw new TypeError("a file was followed to no result");
  return followed;
}

async function removeAll({ place }: BlobToFetch, { decode }: FollowJob): Promise<void> {
  await removeGrown(place);
  if (decode !== undefined) await rm(decode.output, { force: true });
}
