import { rm } from "node:fs/promises";
import { OcibundleError } from "../../errors.ts";
import { digestAlgorithm } from "../../oci/digest.ts";
import { parallel } from "../../flow/parallel.ts";
import { followFile } from "../../runtime/follow-file.ts";
import type { WorkerPool } from "../../runtime/worker-pool.ts";
import type { Codec, Followed, FollowJob } from "../../runtime/worker-protocol.ts";
import type { BlobToFetch } from "./blob-to-fetch.ts";
import { isMisread } from "../../registry/coded-blob.ts";
import { undecodable, wrongBytes } from "./download-check.ts";
import { removeGrown } from "./download-journal.ts";
import { type FetchOptions, fetchMissing } from "./download-ranges.ts";
import { openPartialFile } from "./open-partial-file.ts";
import { MiB } from "../units.ts";
import { unwritable } from "../../runtime/file-faults.ts";
import type { RecentFile } from "./recent-blocks.ts";

/** A blob up to this size is hashed where it is, after its last byte: a worker would cost more. */
const inlineBytes = 4 * MiB;

/** Of a blob up to this size, nothing is kept in memory. */
const recentBytes = 32 * MiB;

/** What a download has from its downloader. */
export interface DownloadSettings extends Omit<
  FetchOptions,
  "signal" | "label" | "item" | "recent"
> {
  workers: WorkerPool;
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

/** One try at a blob: the path, or undefined when what a former run had left is not to be trusted. */
export async function downloadOnce(
  blob: BlobToFetch,
  codec: Codec | undefined,
  { signal, onBytes, onFront, onVerified, recent: given }: DownloadCallOptions,
  settings: DownloadSettings,
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
