import pLimit from "p-limit";
import { withinOpenFiles } from "../../runtime/open-files.ts";
import type { WorkerPool } from "../../runtime/worker-pool.ts";
import type { BlobToFetch } from "./blob-to-fetch.ts";
import { isMisread } from "../../registry/coded-blob.ts";
import type { Clock } from "../../retry/clock.ts";
import { decodingOf } from "./decode.ts";
import { checkSame } from "./download-check.ts";
import { fetchMissing } from "./download-ranges.ts";
import { pieceSizes } from "./pieces.ts";
import { type RangeSupport, rangeSupport } from "./range-work.ts";
import type { EmitEvent } from "../events.ts";
import type { PartialFile } from "./partial-file.ts";
import type { RetryPolicy } from "../../retry/backoff.ts";
import { defaultPace, type Pace } from "./slow-ranges.ts";
import { MiB } from "../units.ts";
import { type DownloadSettings, downloadOnce, type DownloadCallOptions } from "./download-once.ts";

/**
 * Connections of all downloads together, unless told otherwise: over a long way one brings a tenth of
 * what the line can carry. What each has received and not yet written is a megabyte or two of memory.
 */
const defaultConnections = 8;

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
  const settings = (host: string): DownloadSettings => ({
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
