import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { writeAll } from "../../store/verified-write.ts";
import type { RunningHash } from "./running-hash.ts";

/**
 * Bytes come in pieces of some ten KiB, and many small writes are what is slow: they are gathered.
 * While some buffers are written and hashed, both at once, another is filled.
 */
const bufferBytes = 4 * 1024 * 1024;
const maxUnderWay = 2;

/** Buffers that are kept for the next upload. */
const maxSpare = 8;
type Buffer = Uint8Array<SharedArrayBuffer>;
const spare: Buffer[] = [];
const takeBuffer = (): Buffer => spare.pop() ?? new Uint8Array(new SharedArrayBuffer(bufferBytes));
const giveBack = (buffer: Buffer): void => {
  if (spare.length < maxSpare) spare.push(buffer);
};

/**
 * From this byte of a file on, writes go past the page cache where the system can do that. Weights are
 * larger than what is worth keeping there, and filling it costs more time than the disk takes.
 */
const directFrom = 16 * 1024 * 1024;
const directAlignment = 4096;

/** What of a body has arrived: both grow together, and hold for the file's first `size` bytes. */
export interface Received {
  size: number;
  /** Undefined when what has been hashed is not what is in the file. */
  hash: RunningHash | undefined;
}

/**
 * Appends a body to a file of `received.size` bytes and hashes it on the way.
 *
 * What came before a body broke off is kept, and `received` says how much that is. When writing or
 * hashing fails, the file is as long as before and the hash is dropped. Throws what the body and the
 * file system throw.
 */
export async function appendBody(
  path: string,
  body: AsyncIterable<Uint8Array>,
  received: Received,
): Promise<void> {
  const target = await openTarget(path);
  const { hash } = received;
  let buffer = takeBuffer();
  let filled = 0;
  let position = received.size;
  const underWay: Promise<Buffer>[] = [];
  let written = Promise.resolve();
  let failure: { error: unknown } | undefined;

  /** Waits for the oldest of what is under way; its buffer is free then. */
  const settle = async (): Promise<Buffer | undefined> => {
    const done = await underWay.shift();
    if (failure !== undefined) throw failure.error;
    return done;
  };
  /** Hashes and writes at once. Writes keep their order: a file that is cut short has no holes. */
  const store = async (full: Buffer, length: number, at: number): Promise<Buffer> => {
    const bytes = length === full.length ? full : full.subarray(0, length);
    const write = written.then(() => target.write(bytes, at));
    written = write;
    const both = await Promise.allSettled([hash?.update(bytes, length === full.length), write]);
    for (const result of both) {
      if (result.status === "rejected") failure ??= { error: result.reason };
    }
    return full;
  };
  const flush = async (): Promise<void> => {
    underWay.push(store(buffer, filled, position));
    position += filled;
    filled = 0;
    buffer = (underWay.length >= maxUnderWay ? await settle() : undefined) ?? takeBuffer();
  };

  try {
    try {
      for await (const chunk of body) {
        for (let from = 0; from < chunk.length;) {
          const taken = Math.min(chunk.length - from, bufferBytes - filled);
          buffer.set(taken === chunk.length ? chunk : chunk.subarray(from, from + taken), filled);
          filled += taken;
          from += taken;
          if (filled === bufferBytes) await flush();
        }
      }
    } finally {
      // Also when the client went away: what came is what its next request goes on from.
      if (filled > 0) await flush();
      for (let free = await settle(); free !== undefined; free = await settle()) giveBack(free);
      received.size = position;
    }
  } catch (error) {
    if (failure !== undefined) {
      await Promise.all(underWay);
      received.hash?.drop();
      received.hash = undefined;
      await target.cut(received.size).catch(() => undefined);
    }
    throw error;
  } finally {
    giveBack(buffer);
    await target.close();
  }
}

interface Target {
  write(bytes: Uint8Array, position: number): Promise<void>;
  cut(size: number): Promise<void>;
  close(): Promise<void>;
}

/** A file that is written through the page cache, or past it where size and place of the bytes allow. */
async function openTarget(path: string): Promise<Target> {
  const file = await open(path, "r+");
  // Opened once there is use for it; undefined where this system, file system or memory can't.
  let direct: Promise<FileHandle | undefined> | undefined;
  const openDirect = (): Promise<FileHandle | undefined> =>
    constants.O_DIRECT === undefined
      ? Promise.resolve(undefined)
      : open(path, constants.O_WRONLY | constants.O_DIRECT).catch(() => undefined);
  const writeDirect = async (bytes: Uint8Array, position: number): Promise<boolean> => {
    try {
      const handle = await (direct ??= openDirect());
      if (handle === undefined) return false;
      return (await handle.write(bytes, 0, bytes.length, position)).bytesWritten === bytes.length;
    } catch {
      // It is written the other way then; what is really wrong shows there.
      return false;
    }
  };
  return {
    async write(bytes, position) {
      const suits =
        position >= directFrom &&
        position % directAlignment === 0 &&
        bytes.length % directAlignment === 0;
      if (suits && (await writeDirect(bytes, position))) return;
      await writeAll(file, bytes, position);
    },
    cut: (size) => file.truncate(size),
    async close() {
      await (await direct)?.close();
      await file.close();
    },
  };
}
