import { type FileHandle, stat } from "node:fs/promises";
import { OcibundleError, errno } from "../../errors.ts";
import type { ByteRange } from "../../oci/content.ts";
import type { RecentFile } from "../../transfer/download/recent-blocks.ts";
import type { AnswerMemory } from "./answer-memory.ts";
import { openRegular } from "../../runtime/regular-file.ts";

/** How often the growth of a file is looked at that is decompressed into, in milliseconds. */
const growthEvery = 25;

/**
 * Clients give up after 10 seconds without a byte. So the last bytes of what is there are kept, and sent one by one, so
 * many milliseconds apart, while nothing else can be sent: while the registry stands still, and while a range in the
 * middle of a file waits until all of the file is verified.
 */
export interface Reserve {
  bytes: number;
  every: number;
}

/** Lasts for longer than an hour. */
const defaultReserve: Reserve = { bytes: 1024, every: 4000 };

/**
 * A file that is being fetched, for all who want it: its bytes are handed on while they arrive. What is sent
 * before all of it was verified is never a whole answer, since the last byte of each waits.
 */
export interface Feed {
  /**
   * Where the bytes are now. `growing`: how far is seen by the file's size. `recent`: those that are still in memory;
   * it is told how far they were read.
   */
  grow(path: string, growing: boolean, recent?: RecentFile): void;
  /**
   * Bytes up to `front` are in the file; less than before when those behind it may become others. Those up to
   * `proven` are right by themselves, whatever becomes of the rest.
   */
  front(front: number, proven?: number): void;
  /** All of it is there, and right. */
  verify(): void;
  /** It has its last name. */
  settle(path: string): void;
  fail(error: unknown): void;
  /** Whether the bytes of a range are there, verified or not. */
  has(range: ByteRange): boolean;
  /** Resolves when bytes can be sent, or after `patience` milliseconds. Throws what ended the fetch. */
  begun(patience: number): Promise<void>;
  /**
   * The bytes of a range as they arrive; a chunk is valid until the next one is asked for. Without `verified`
   * its last byte does not wait either. Throws what ended the fetch, and where bytes that were sent are not those
   * that will be right.
   */
  bytes(
    range: ByteRange,
    options: { signal: AbortSignal; verified: boolean },
  ): AsyncGenerator<Uint8Array, void, undefined>;
  /** How many are reading. */
  readonly readers: number;
}

/** Who reads a feed. */
interface Reader {
  /** Where it began, and the first byte that is yet to be read. */
  start: number;
  at: number;
  /** Whether bytes that it has read turned out to be others. */
  spoiled: boolean;
}

/**
 * The feed of a file of `size` bytes. `onIdle` is called when the last reader has left; `onTaint` when wrong
 * bytes were sent.
 */
export function createFeed({
  size,
  memory,
  reserve = defaultReserve,
  onIdle,
  onTaint,
}: {
  size: number;
  memory: AnswerMemory;
  reserve?: Reserve;
  onIdle(): void;
  onTaint(): void;
}): Feed {
  let path: string | undefined;
  let recent: RecentFile | undefined;
  let growing = false;
  let position = 0;
  let proven = 0;
  let generation = 0;
  let verified = false;
  let settled = false;
  let failure: { error: unknown } | undefined;
  const readers = new Set<Reader>();
  let waiters: (() => void)[] = [];
  const wake = (): void => {
    const all = waiters;
    waiters = [];
    for (const waiter of all) waiter();
  };
  /** Until something happens; where the file's own size is what tells, for a moment. */
  const changed = (signal: AbortSignal, patience: number | undefined): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const wait = growing && !verified ? growthEvery : patience;
      const timer = wait === undefined ? undefined : setTimeout(end, wait);
      signal.addEventListener("abort", end, { once: true });
      waiters.push(end);
    });
  const look = async (): Promise<void> => {
    if (!growing || verified || path === undefined) return;
    const now = generation;
    const grown = await stat(path).then(
      (stats) => stats.size,
      () => 0,
    );
    if (now === generation && grown > position) position = grown;
  };

  const tellReached = (): void => {
    const all = Array.from(readers, ({ at }) => at);
    recent?.reached(all.length === 0 ? Infinity : Math.max(...all));
  };

  async function* bytes(
    range: ByteRange,
    options: { signal: AbortSignal; verified: boolean },
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { signal } = options;
    // A range is as right as its bytes are; that the whole has its digest is known at its end.
    const heldBack = (): number =>
      !options.verified || (range.end <= proven && range.end < size) ? 0 : 1;
    const reader: Reader = { start: range.start, at: range.start, spoiled: false };
    let file: FileHandle | undefined;
    const share = memory.share();
    // The first byte goes at once, and the head of the answer with it.
    let sentAt = Number.NEGATIVE_INFINITY;
    /** How much of what is there is sent now; where it is not all that was asked for, the reserve is kept. */
    const ready = (limit: number): number => {
      const there = Math.max(0, limit - reader.at);
      if (limit === range.end) return there;
      const isDue = performance.now() - sentAt >= reserve.every;
      return Math.max(there - reserve.bytes, isDue ? Math.min(1, there) : 0);
    };
    let seen = generation;
    readers.add(reader);
    tellReached();
    try {
      while (reader.at < range.end && !signal.aborted) {
        const { at } = reader;
        if (failure !== undefined) throw failure.error;
        await look();
        if (seen !== generation) {
          if (reader.spoiled)
            throw new OcibundleError("integrity", "the sent content does not match its digest");
          await file?.close();
          file = undefined;
          seen = generation;
        }
        const limit = verified ? range.end : Math.min(position, range.end - heldBack());
        const wanted = ready(limit);
        if (wanted <= 0 || path === undefined) {
          const isKept = limit > at && path !== undefined;
          await changed(
            signal,
            isKept ? Math.max(1, sentAt + reserve.every - performance.now()) : undefined,
          );
          continue;
        }
        const held = recent?.read(at);
        if (held !== undefined) {
          const chunk = held.bytes.subarray(0, wanted);
          reader.at += chunk.byteLength;
          sentAt = performance.now();
          try {
            yield chunk;
          } finally {
            held.release();
            tellReached();
          }
          continue;
        }
        const tried: string = path;
        file ??= await openThere(tried);
        if (file === undefined) {
          // It may have got its last name while it was opened by the one before.
          if (settled && path === tried)
            throw new OcibundleError("network", "the file is no longer in the cache");
          await changed(signal, growthEvery);
          continue;
        }
        const buffer = share.buffer(wanted);
        const length = Math.min(buffer.byteLength, wanted);
        const { bytesRead } = await file.read(buffer, 0, length, at);
        if (seen !== generation) continue;
        if (bytesRead === 0) {
          await changed(signal, growthEvery);
          continue;
        }
        reader.at += bytesRead;
        tellReached();
        sentAt = performance.now();
        yield buffer.subarray(0, bytesRead);
      }
    } catch (error) {
      if (reader.at > range.start && error instanceof OcibundleError && error.code === "integrity")
        onTaint();
      throw error;
    } finally {
      share.end();
      await file?.close();
      readers.delete(reader);
      tellReached();
      if (readers.size === 0) onIdle();
    }
  }

  return {
    grow(at, isGrowing, recentOfIt) {
      path = at;
      recent = recentOfIt;
      tellReached();
      growing = isGrowing;
      wake();
    },
    front(front, right = 0) {
      // What is decompressed has another length than what it is made from: there only a new try is of interest.
      if (growing && front > 0) return;
      if (front < position) {
        generation += 1;
        for (const reader of readers) {
          if (reader.at > Math.max(reader.start, front)) reader.spoiled = true;
        }
      }
      position = front;
      proven = right;
      wake();
    },
    verify() {
      verified = true;
      wake();
    },
    settle(at) {
      path = at;
      verified = true;
      settled = true;
      wake();
    },
    fail(error) {
      failure = { error };
      wake();
    },
    has: (range) => failure === undefined && (verified || position >= range.end),
    async begun(patience) {
      const until = performance.now() + patience;
      const never = new AbortController().signal;
      const isWaiting = (): boolean =>
        failure === undefined && !verified && position === 0 && performance.now() < until;
      while (isWaiting()) {
        await changed(never, until - performance.now());
        await look();
      }
      if (failure !== undefined) throw failure.error;
    },
    bytes,
    get readers() {
      return readers.size;
    },
  };
}

/** The file, or undefined where it has another name by now. */
async function openThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await openRegular(path);
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
    throw error;
  }
}
