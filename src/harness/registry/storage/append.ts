import { releaseBytes } from "../../../runtime/release-bytes.ts";
import { openAppendTarget } from "./append-target.ts";
import type { RunningHash } from "./running-hash.ts";
import { createUploadBuffers, type UploadBuffer, type UploadBuffers } from "./upload-buffers.ts";

/** While some buffers are written and hashed, both at once, another is filled. */
const maxUnderWay = 2;

/** So many bytes at once are worth hashing in another thread. */
const worthThread = 1024 * 1024;

/** Those of all uploads to all registries of this process. */
const allBuffers = createUploadBuffers();

/** What of a body has arrived: both grow together, and hold for the file's first `size` bytes. */
export interface Received {
  size: number;
  /** Undefined when what has been hashed is not what is in the file. */
  hash: RunningHash | undefined;
  /** Whether the file is still to be made. */
  isNew?: boolean;
}

/** How a body is received. */
export interface AppendOptions {
  /** The length of the body in bytes, where it was said: what it is believed for is the size of buffers. */
  length?: number | undefined;
  /** Those of all uploads of this process unless given. */
  buffers?: UploadBuffers | undefined;
}

/**
 * Appends a body to a file of `received.size` bytes and hashes it on the way. The body's chunks are used up.
 *
 * What came before a body broke off is kept, and `received` says how much that is. When writing or
 * hashing fails, the file is as long as before and the hash is dropped. Throws what the body and the
 * file system throw.
 */
export async function appendBody(
  path: string,
  body: AsyncIterable<Uint8Array>,
  received: Received,
  { length, buffers = allBuffers }: AppendOptions = {},
): Promise<void> {
  const target = openAppendTarget(path, received);
  const { hash, size: start } = received;
  const taken = new Set<UploadBuffer>();
  const giveBack = (one: UploadBuffer): void => {
    taken.delete(one);
    buffers.giveBack(one);
  };
  let position = start;
  let buffer: UploadBuffer | undefined;
  let filled = 0;
  const underWay: Promise<UploadBuffer>[] = [];
  let written = Promise.resolve();
  let failure: { error: unknown } | undefined;

  /** Waits for the oldest of what is under way; its buffer is free then. */
  const settle = async (): Promise<UploadBuffer | undefined> => {
    const done = await underWay.shift();
    if (failure !== undefined) throw failure.error;
    return done;
  };
  /** Hashes and writes at once. Writes keep their order: a file that is cut short has no holes. */
  const store = async (full: UploadBuffer, used: number, at: number): Promise<UploadBuffer> => {
    const bytes = used === full.length ? full : full.subarray(0, used);
    const write = written.then(() => target.write(bytes, at));
    written = write;
    const both = await Promise.allSettled([
      hash?.update(bytes, bytes.length >= worthThread),
      write,
    ]);
    for (const result of both) {
      if (result.status === "rejected") failure ??= { error: result.reason };
    }
    return full;
  };
  const flush = async (full: UploadBuffer): Promise<void> => {
    underWay.push(store(full, filled, position));
    position += filled;
    filled = 0;
    buffer = undefined;
    const free = underWay.length >= maxUnderWay ? await settle() : undefined;
    // Not kept: there may be a better one by now for a body that has grown so far.
    if (free !== undefined) giveBack(free);
  };
  /** A buffer for the next bytes: rather one of this upload that is soon free than a small one. */
  const next = async (): Promise<UploadBuffer> => {
    const wanted = { received: position - start, length };
    let found = buffers.take(wanted);
    while (found === undefined && underWay.length > 0) {
      const free = await settle();
      if (free !== undefined) giveBack(free);
      found = buffers.take(wanted);
    }
    found ??= buffers.takeSmall();
    taken.add(found);
    return found;
  };

  try {
    try {
      for await (const chunk of body) {
        for (let from = 0; from < chunk.length;) {
          buffer ??= await next();
          const fits = Math.min(chunk.length - from, buffer.length - filled);
          buffer.set(fits === chunk.length ? chunk : chunk.subarray(from, from + fits), filled);
          filled += fits;
          from += fits;
          if (filled === buffer.length) await flush(buffer);
        }
        releaseBytes(chunk);
      }
    } finally {
      // Also when the client went away: what came is what its next request goes on from.
      if (buffer !== undefined && filled > 0) await flush(buffer);
      while ((await settle()) !== undefined);
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
    for (const one of taken) giveBack(one);
    await target.close();
  }
}
