import { closeSync, fstatSync, readSync, writeSync } from "node:fs";
import { once } from "../flow/once.ts";
import { openOwnFile, reopenDirect } from "./own-file.ts";
import { runtime } from "./current.ts";
import type { CachedShare } from "./page-cache.ts";
import { openRegularSync, reopenDirectToRead } from "./regular-file.ts";
import { type CopyJob, fileEndedCode } from "./worker-protocol.ts";

/** In bytes: what past the page cache is worth a write. */
const chunkBytes = 1024 * 1024;

/**
 * What offsets and sizes of writes past the page cache are multiples of, in bytes: the largest page of any system. What
 * others write to the same file through the page cache at the same time is never in a page that goes past it.
 */
const alignment = 64 * 1024;

/** What offsets and sizes of reads past the page cache are multiples of, in bytes. */
const readAlignment = 4096;

/**
 * Of a shorter range, in bytes, nothing is read past the page cache: to look up and to fetch each of thousands of small
 * tensors by itself takes two to three times as long as the reads ahead that the system makes.
 */
const leastDirectRange = 64 * 1024;

/** So many bytes are looked up in the page cache at once: a multiple of the largest page of any system. */
const lookedUpBytes = 8 * 1024 * 1024;

/**
 * Copies ranges of a file into another one, which is there; nothing is hashed. What is written goes past the page cache
 * where the system can do that, and so are long ranges read that are not there: filling it with gigabytes at once takes
 * longer than the disk. Blocks the thread. `onChunk` is told the number of bytes after each chunk, and ends the work by
 * throwing. Resolves to the number of bytes. Throws errno errors, and one with `fileEndedCode` where a file is shorter
 * than its range, or not this user's own any more.
 */
export async function runCopyJob(
  { from, to, ranges }: CopyJob,
  onChunk?: (bytes: number) => void,
): Promise<number> {
  const output = await openOwnFile(to);
  if (output === undefined) throw ended(`${to} was replaced`);
  const write = fileWriter(output.fd);
  try {
    const cachedShare = await whatIsCached();
    const read = fileReader(openRegularSync(from), cachedShare);
    try {
      return copyRanges(read, write, { from, ranges }, onChunk);
    } finally {
      read.close();
    }
  } finally {
    write.close();
    await output.close();
  }
}

function copyRanges(
  { read }: FileReader,
  { write }: FileWriter,
  { from, ranges }: Pick<CopyJob, "from" | "ranges">,
  onChunk: ((bytes: number) => void) | undefined,
): number {
  let copied = 0;
  for (const { source, target, length } of ranges) {
    const mayPassCache = length >= leastDirectRange;
    for (let done = 0; done < length;) {
      // Up to where a block begins first, so that all that follows is whole blocks.
      const misplaced = (target + done) % alignment;
      const most = misplaced === 0 ? chunkBytes : alignment - misplaced;
      const bytes = read(source + done, Math.min(most, length - done), mayPassCache);
      if (bytes.length === 0) {
        throw ended(`${from}: the file ended before byte ${source + length}`);
      }
      write(bytes, target + done);
      done += bytes.length;
      onChunk?.(bytes.length);
    }
    copied += length;
  }
  return copied;
}

const whatIsCached = once(() => runtime.cachedShare());

interface FileReader {
  /** At most so many bytes from a position, valid until the next read; none where the file has ended. */
  read(position: number, length: number, mayPassCache: boolean): Uint8Array;
  close(): void;
}

/**
 * Reads an open file, which it closes: past the page cache what may be and is mostly not there, while that works; the
 * rest through it. The bytes begin at a page of the memory, which writes past the page cache need.
 */
function fileReader(file: number, cachedShare: CachedShare | undefined): FileReader {
  // Shared memory begins at a page.
  const buffer = new Uint8Array(new SharedArrayBuffer(chunkBytes + 2 * readAlignment));
  let direct = cachedShare === undefined ? undefined : reopenDirectToRead(file);
  const closeDirect = (): void => {
    if (direct !== undefined) closeSync(direct);
    direct = undefined;
  };
  // Of the bytes between two multiples of `lookedUpBytes`.
  let lookedUp: { start: number; isCached: boolean } | undefined;
  const isCached = (position: number): boolean => {
    const start = position - (position % lookedUpBytes);
    if (lookedUp?.start !== start) {
      const end = Math.min(start + lookedUpBytes, fstatSync(file).size);
      const share = end > start ? cachedShare?.(file, start, end) : undefined;
      lookedUp = { start, isCached: share === undefined || share >= 0.5 };
    }
    return lookedUp.isCached;
  };
  /** How many bytes of the buffer, from `skip` on, are those from the position on; none where that can't be done. */
  const readDirect = (position: number, skip: number, length: number): number => {
    if (direct === undefined || isCached(position)) return 0;
    const whole = Math.ceil((skip + length) / readAlignment) * readAlignment;
    try {
      const read = readSync(direct, buffer, 0, whole, position - skip);
      return Math.max(0, Math.min(read - skip, length));
    } catch {
      // What is really wrong shows when it is read the other way.
      closeDirect();
      return 0;
    }
  };
  return {
    read(position, length, mayPassCache) {
      const skip = position % readAlignment;
      const read = mayPassCache ? readDirect(position, skip, length) : 0;
      if (read === 0) return buffer.subarray(0, readSync(file, buffer, 0, length, position));
      if (skip > 0) buffer.copyWithin(0, skip, skip + read);
      return buffer.subarray(0, read);
    },
    close() {
      closeDirect();
      closeSync(file);
    },
  };
}

interface FileWriter {
  write(bytes: Uint8Array, position: number): void;
  close(): void;
}

/** Writes to an open file: whole blocks past the page cache while that works, the rest through it. */
function fileWriter(file: number): FileWriter {
  let direct = reopenDirect(file);
  const close = (): void => {
    if (direct !== undefined) closeSync(direct);
    direct = undefined;
  };
  const writeDirect = (bytes: Uint8Array, position: number): number => {
    if (direct === undefined || bytes.length === 0 || position % alignment !== 0) return 0;
    try {
      const written = writeSync(direct, bytes, 0, bytes.length, position);
      return written - (written % alignment);
    } catch {
      // What is really wrong shows when it is written the other way.
      close();
      return 0;
    }
  };
  return {
    write(bytes, position) {
      const whole = bytes.subarray(0, bytes.length - (bytes.length % alignment));
      for (let at = writeDirect(whole, position); at < bytes.length;) {
        at += writeSync(file, bytes, at, bytes.length - at, position + at);
      }
    },
    close,
  };
}

const ended = (message: string): Error =>
  Object.assign(new Error(message), { code: fileEndedCode });
