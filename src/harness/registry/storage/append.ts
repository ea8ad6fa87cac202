import { truncate } from "node:fs/promises";
import { releaseBytes } from "../../../runtime/release-bytes.ts";
import { type ByteStream, startStream } from "../../../runtime/stream-workers.ts";
import type { BodyReader } from "./body-reader.ts";
import { createUploadBuffers, type UploadBuffer, type UploadBuffers } from "./upload-buffers.ts";

/** While some buffers are written and hashed, another is filled. */
const maxUnderWay = 2;

/**
 * A body of at most so many bytes is hashed and written by one thread, which costs the least; other uploads use the
 * other cores meanwhile. A longer one may be the only one: it is hashed by one thread while another one writes it.
 */
const oneThreadUpTo = 16 * 1024 * 1024;

/** Those of all uploads to all registries of this process. */
const allBuffers = createUploadBuffers();

/** What of a body has arrived: both grow together, and hold for the file's first `size` bytes. */
export interface Received {
  size: number;
  /** Undefined when what has been hashed is not what is in the file. */
  hash: ByteStream | undefined;
  /** Whether the file is still to be made. */
  isNew?: boolean;
}

/** How a body is received. */
export interface AppendOptions {
  /** The length of the body in bytes, where it was said. */
  length?: number | undefined;
  /** Whether nothing follows a body that is as long as was said: the hash is asked for with its last bytes. */
  isLast?: boolean | undefined;
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
  body: BodyReader,
  received: Received,
  { length, isLast = false, buffers = allBuffers }: AppendOptions = {},
): Promise<void> {
  const start = received.size;
  const isShort = length !== undefined && length <= oneThreadUpTo;
  const newWriter = (): ByteStream => startStream(undefined, received.hash);
  let writer = isShort ? (received.hash ?? newWriter()) : newWriter();
  const taken = new Set<UploadBuffer>();
  const giveBack = (one: UploadBuffer): void => {
    taken.delete(one);
    buffers.giveBack(one);
  };
  let position = start;
  let buffer: UploadBuffer | undefined;
  let filled = 0;
  const underWay: Promise<UploadBuffer>[] = [];
  let failure: { error: unknown } | undefined;

  /** Waits for the oldest of what is under way; its buffer is free then. */
  const settle = async (): Promise<UploadBuffer | undefined> => {
    const done = await underWay.shift();
    if (failure !== undefined) throw failure.error;
    return done;
  };
  const write = async (
    bytes: UploadBuffer,
    at: number,
    end: "close" | "digest" | undefined,
  ): Promise<void> => {
    const { hash, isNew = false } = received;
    const steps =
      hash === undefined || hash === writer
        ? []
        : [hash.add(bytes, { end: end === "digest" ? end : undefined })];
    // After the hash: in another thread than that.
    const place = { path, isNew, position: at };
    steps.push(
      writer.add(bytes, { place, end: hash === writer || end === undefined ? end : "close" }),
    );
    for (const result of await Promise.allSettled(steps)) {
      if (result.status === "rejected") failure ??= { error: result.reason };
    }
    if (failure === undefined) received.isNew = false;
  };
  const store = async (full: UploadBuffer, used: number, at: number): Promise<UploadBuffer> => {
    const bytes = used === full.length ? full : full.subarray(0, used);
    const isEnd = at + used - start === length;
    await write(bytes, at, isEnd ? (isLast ? "digest" : "close") : undefined);
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
  const takeInPieces = async (chunk: Uint8Array): Promise<void> => {
    if (received.hash?.hasEnded === true && chunk.length > 0) await forgetHash();
    for (let from = 0; from < chunk.length;) {
      buffer ??= await next();
      const fits = Math.min(chunk.length - from, buffer.length - filled);
      buffer.set(fits === chunk.length ? chunk : chunk.subarray(from, from + fits), filled);
      filled += fits;
      from += fits;
      // Before it waits: a dozen uploads would each hold a chunk meanwhile.
      if (from === chunk.length) releaseBytes(chunk);
      if (filled === buffer.length) await flush(buffer);
    }
  };
  /** More follows what was said to be all. */
  const forgetHash = async (): Promise<void> => {
    while ((await settle()) !== undefined);
    received.hash = undefined;
    writer = newWriter();
  };
  const take = (chunk: Uint8Array): Promise<void> | undefined => {
    if (buffer === undefined || chunk.length >= buffer.length - filled) return takeInPieces(chunk);
    // At once: most chunks are less than a buffer, and the memory of one that is gone serves the next.
    buffer.set(chunk, filled);
    filled += chunk.length;
    releaseBytes(chunk);
    return undefined;
  };

  try {
    try {
      await body(take);
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
      await truncate(path, received.size).catch(() => undefined);
    }
    throw error;
  } finally {
    for (const one of taken) giveBack(one);
    await writer.close();
    if (writer !== received.hash) writer.drop();
  }
}
