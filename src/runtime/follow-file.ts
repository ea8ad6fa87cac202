import { createHash, type Hash } from "node:crypto";
import { closeSync, readSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import type { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setImmediate } from "node:timers/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { readableMode, replaceFile } from "./own-file.ts";
import { recentAt } from "./recent-bytes.ts";
import {
  type Codec,
  decodedTooLongCode,
  fileEndedCode,
  type FollowJob,
  type Followed,
} from "./worker-protocol.ts";
import { openRegularSync } from "./regular-file.ts";

const readBytes = 256 * 1024;
const writeBytes = 1024 * 1024;

/** How long the front may stand still before a look at whether the work is still wanted, in milliseconds. */
const patience = 100;

/** Other files that the thread follows have their turn after so many bytes. */
const turnBytes = 2 * 1024 * 1024;

/**
 * Hashes a file from its start to `size` while it is being written, never reading beyond `front[0]`,
 * and with `decode` decompresses it into another file (not flushed) whose bytes are hashed as well.
 *
 * A thread can follow several files: it does something else while the front stands still, and now and then.
 * `onChunk` is told the number of bytes read after each chunk, 0 from time to time while it waits, and
 * ends the work by throwing. Throws errno errors, zlib's, one with `fileEndedCode` when the file is
 * shorter than its front, and one with `decodedTooLongCode` as soon as there are more bytes than
 * `decode.size`: what was written then is the caller's to remove.
 */
export async function followFile(
  job: FollowJob,
  onChunk?: (bytes: number) => void,
): Promise<Followed> {
  const hash = createHash(job.algorithm);
  const file = openRegularSync(job.path);
  try {
    if (job.decode === undefined) {
      const buffer = newBuffer(job);
      for await (const chunk of chunksBehindFront(file, job, () => buffer, onChunk))
        hash.update(chunk);
      return { hex: hash.digest("hex"), size: job.size };
    }
    const decoded = await decodeInto(job, job.decode, hashed(file, job, hash, onChunk));
    return { hex: hash.digest("hex"), size: job.size, decoded };
  } finally {
    closeSync(file);
  }
}

async function decodeInto(
  { algorithm, path }: FollowJob,
  { codec, size: limit, output }: NonNullable<FollowJob["decode"]>,
  input: AsyncIterable<Uint8Array>,
): Promise<{ hex: string; size: number }> {
  const hash = createHash(algorithm);
  // A killed run can have left the name as a second one of a finished file.
  const to = await replaceFile(output, readableMode);
  let size = 0;
  try {
    await pipeline(input, createDecompressor(codec), async (chunks: AsyncIterable<Uint8Array>) => {
      for await (const chunk of chunks) {
        if (size + chunk.length > limit) {
          const message = `${path}: decompresses to more than ${limit} bytes`;
          throw Object.assign(new Error(message), { code: decodedTooLongCode });
        }
        hash.update(chunk);
        await writeAll(to, chunk);
        size += chunk.length;
      }
    });
  } finally {
    await to.close();
  }
  return { hex: hash.digest("hex"), size };
}

/** The file's bytes as they are written, hashed; each chunk is new, for the decompressor may keep it. */
async function* hashed(
  file: number,
  job: FollowJob,
  hash: Hash,
  onChunk: ((bytes: number) => void) | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunksBehindFront(file, job, () => newBuffer(job), onChunk)) {
    hash.update(chunk);
    yield chunk;
  }
}

const newBuffer = ({ size }: FollowJob): Uint8Array => new Uint8Array(Math.min(readBytes, size));

async function* chunksBehindFront(
  file: number,
  { path, size, front, recent }: FollowJob,
  buffer: () => Uint8Array,
  onChunk: ((bytes: number) => void) | undefined,
): AsyncGenerator<Uint8Array> {
  let turnEnd = turnBytes;
  for (let offset = 0; offset < size;) {
    const written = Number(Atomics.load(front, 0));
    if (written <= offset) {
      onChunk?.(0);
      await Atomics.waitAsync(front, 0, BigInt(written), patience).value;
      continue;
    }
    if (offset >= turnEnd) {
      turnEnd = offset + turnBytes;
      await setImmediate();
    }
    const recentChunk = recent && recentAt(recent, offset)?.subarray(0, written - offset);
    const bytes = recentChunk ?? readBehindFront(file, { path, written, offset }, buffer());
    offset += bytes.length;
    yield bytes;
    // Only now: what is read from memory must stay until it is hashed.
    if (recent !== undefined) Atomics.store(recent.hashed, 0, BigInt(offset));
    onChunk?.(bytes.length);
  }
}

function readBehindFront(
  file: number,
  { path, written, offset }: { path: string; written: number; offset: number },
  buffer: Uint8Array,
): Uint8Array {
  const bytes = readSync(file, buffer, 0, Math.min(buffer.length, written - offset), offset);
  if (bytes > 0) return buffer.subarray(0, bytes);
  const message = `${path}: the file ended before byte ${written}`;
  throw Object.assign(new Error(message), { code: fileEndedCode });
}

const createDecompressor = (codec: Codec): Transform =>
  codec === "gzip"
    ? createGunzip({ chunkSize: writeBytes })
    : createZstdDecompress({ chunkSize: writeBytes });

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  let done = 0;
  while (done < chunk.length) {
    done += (await file.write(chunk, done, chunk.length - done)).bytesWritten;
  }
}
