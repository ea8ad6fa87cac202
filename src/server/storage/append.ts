import type { Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { writeAll } from "../../store/verified-write.ts";

/**
 * Bytes come in pieces of some ten KiB, and many small writes are what is slow: they are gathered.
 * One buffer is written while the other is filled.
 */
const bufferBytes = 4 * 1024 * 1024;

/** Buffers that are kept for the next upload. */
const maxSpare = 8;
const spare: Uint8Array[] = [];
const takeBuffer = (): Uint8Array => spare.pop() ?? new Uint8Array(bufferBytes);
const giveBack = (buffer: Uint8Array): void => {
  if (spare.length < maxSpare) spare.push(buffer);
};

/**
 * From this byte of a file on, writes go past the page cache where the system can do that. Weights are
 * larger than what is worth keeping there, and filling it costs more time than the disk takes.
 */
const directFrom = 64 * 1024 * 1024;
const directAlignment = 4096;

/** What of a body has arrived: both grow together, and hold for the file's first `size` bytes. */
export interface Received {
  size: number;
  hash: Hash | undefined;
}

/**
 * Appends a body to a file of `received.size` bytes and hashes it on the way.
 *
 * What came before a body broke off is kept, and `received` says how much that is; when writing fails,
 * the file is cut to what `received` says and the hash is dropped. Throws what the body and the file
 * system throw.
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
  let writing: Promise<Uint8Array> | undefined;
  let failure: { error: unknown } | undefined;

  /** Waits for the write that is under way; its buffer is the next one to fill. */
  const settle = async (): Promise<Uint8Array | undefined> => {
    const done = await writing;
    writing = undefined;
    if (failure !== undefined) throw failure.error;
    return done;
  };
  const flush = async (): Promise<void> => {
    const next = await settle();
    const [full, length, at] = [buffer, filled, position];
    writing = target.write(length === full.length ? full : full.subarray(0, length), at).then(
      () => full,
      (error: unknown) => {
        failure = { error };
        return full;
      },
    );
    position += length;
    filled = 0;
    buffer = next ?? takeBuffer();
  };

  try {
    try {
      for await (const chunk of body) {
        hash?.update(chunk);
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
      const last = await settle();
      if (last !== undefined) giveBack(last);
      received.size = position;
    }
  } catch (error) {
    if (failure !== undefined) {
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
  // Undefined: not tried yet. False: this system, file system or memory can't.
  let direct: FileHandle | false | undefined = constants.O_DIRECT === undefined ? false : undefined;
  const writeDirect = async (bytes: Uint8Array, position: number): Promise<boolean> => {
    if (direct === false) return false;
    try {
      direct ??= await open(path, constants.O_WRONLY | constants.O_DIRECT);
      const { bytesWritten } = await direct.write(bytes, 0, bytes.length, position);
      if (bytesWritten === bytes.length) return true;
    } catch {
      // Below it is written the other way; what is really wrong shows there.
    }
    if (direct !== undefined) await direct.close();
    direct = false;
    return false;
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
      if (direct !== false && direct !== undefined) await direct.close();
      await file.close();
    },
  };
}
