import { closeSync, readSync, writeSync } from "node:fs";
import { openOwnFile, reopenDirect } from "./own-file.ts";
import { type CopyJob, fileEndedCode } from "./worker-protocol.ts";
import { openRegularSync } from "./regular-file.ts";

/** In bytes: what past the page cache is worth a write. */
const chunkBytes = 1024 * 1024;

/**
 * What offsets and sizes of writes past the page cache are multiples of, in bytes: the largest page of any system. What
 * others write to the same file through the page cache at the same time is never in a page that goes past it.
 */
const alignment = 64 * 1024;

/**
 * Copies ranges of a file into another one, which is there; nothing is hashed. What is written goes past the page cache
 * where the system can do that: filling it with gigabytes at once takes longer than the disk. Blocks the thread.
 * `onChunk` is told the number of bytes after each chunk, and ends the work by throwing. Resolves to the number of
 * bytes. Throws errno errors, and one with `fileEndedCode` where a file is shorter than its range, or not this user's
 * own any more.
 */
export async function runCopyJob(
  { from, to, ranges }: CopyJob,
  onChunk?: (bytes: number) => void,
): Promise<number> {
  const output = await openOwnFile(to);
  if (output === undefined) throw ended(`${to} was replaced`);
  const write = fileWriter(output.fd);
  try {
    const input = openRegularSync(from);
    try {
      return copyRanges(input, write, { from, ranges }, onChunk);
    } finally {
      closeSync(input);
    }
  } finally {
    write.close();
    await output.close();
  }
}

function copyRanges(
  input: number,
  { write }: FileWriter,
  { from, ranges }: Pick<CopyJob, "from" | "ranges">,
  onChunk: ((bytes: number) => void) | undefined,
): number {
  // Shared memory begins at a page, which writes past the page cache need.
  const buffer = new Uint8Array(new SharedArrayBuffer(chunkBytes));
  let copied = 0;
  for (const { source, target, length } of ranges) {
    for (let done = 0; done < length;) {
      // Up to where a block begins first, so that all that follows is whole blocks.
      const misplaced = (target + done) % alignment;
      const most = misplaced === 0 ? buffer.length : alignment - misplaced;
      const read = readSync(input, buffer, 0, Math.min(most, length - done), source + done);
      if (read === 0) throw ended(`${from}: the file ended before byte ${source + length}`);
      write(buffer.subarray(0, read), target + done);
      done += read;
      onChunk?.(read);
    }
    copied += length;
  }
  return copied;
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
