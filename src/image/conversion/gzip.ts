import { Buffer } from "node:buffer";
import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import { constants, crc32, deflateRaw as deflateRawCallback } from "node:zlib";

const deflateRaw = promisify(deflateRawCallback) as (
  bytes: Uint8Array,
  options: { level: number; finishFlush: number },
) => Promise<Uint8Array>;

/** Changing this or the block size changes the digest of every layer that is compressed here. */
const level = 6;

/** Compressed on its own, so that all cores work on one layer; larger gains nothing measurable. */
const blockSize = 1024 * 1024;

/** Magic, deflate, no flags, no time, no extra flags, unknown system: nothing of when or where. */
const header = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff);

/** An empty last block: the others are flushed to a whole byte, and go on. */
const lastBlock = Uint8Array.of(3, 0);

/**
 * Compresses bytes to one gzip member (RFC 1952), on as many cores as there are: `node:zlib` works in
 * threads of its own. The same bytes give the same result, whatever their chunking and the cores.
 *
 * Takes as much in as `blocks` allow, a few MiB, and no more until the result is taken out.
 */
export async function* gzip(
  input: AsyncIterable<Uint8Array>,
  blocks = availableParallelism() + 1,
): AsyncGenerator<Uint8Array, void, undefined> {
  const pending: Promise<Uint8Array>[] = [];
  let checksum = 0;
  let size = 0;
  yield header;
  try {
    for await (const block of inBlocks(input)) {
      checksum = crc32(block, checksum);
      size += block.byteLength;
      pending.push(deflateRaw(block, { level, finishFlush: constants.Z_SYNC_FLUSH }));
      if (pending.length >= blocks) {
        const next = await pending.shift();
        if (next !== undefined) yield next;
      }
    }
    for (let next = pending.shift(); next !== undefined; next = pending.shift()) yield await next;
  } finally {
    // Nobody waits for these any more when the input fails or the result is not wanted.
    await Promise.allSettled(pending);
  }
  const trailer = Buffer.alloc(lastBlock.byteLength + 8);
  trailer.set(lastBlock);
  trailer.writeUInt32LE(checksum >>> 0, lastBlock.byteLength);
  trailer.writeUInt32LE(size % 2 ** 32, lastBlock.byteLength + 4);
  yield trailer;
}

/** The same bytes in blocks of one size but for the last, each in a buffer of its own. */
async function* inBlocks(
  input: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let block = Buffer.allocUnsafe(blockSize);
  let filled = 0;
  for await (const chunk of input) {
    for (let at = 0; at < chunk.byteLength;) {
      const part = chunk.subarray(at, at + blockSize - filled);
      block.set(part, filled);
      filled += part.byteLength;
      at += part.byteLength;
      if (filled < blockSize) continue;
      yield block;
      block = Buffer.allocUnsafe(blockSize);
      filled = 0;
    }
  }
  if (filled > 0) yield block.subarray(0, filled);
}
