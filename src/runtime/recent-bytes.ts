/** The bytes of a block of recent bytes: what is worth a write past the page cache, and little to lose. */
export const blockBytes = 512 * 1024;

/**
 * Blocks of files that were just written, in memory that threads share, so that nobody has to read them back. `tags`
 * has a number for each place of `memory`: which block of which file it holds, 0 while it holds none.
 */
export interface RecentBytes {
  memory: SharedArrayBuffer;
  tags: BigInt64Array<SharedArrayBuffer>;
  /** The number of the file: not 0. */
  file: number;
  /** `hashed[0]`: bytes before this one are not read from here any more by the thread that hashes. It stores. */
  hashed: BigInt64Array<SharedArrayBuffer>;
}

/** What a place that holds the block at `position` of a file is tagged with. */
export const blockTag = (file: number, position: number): bigint =>
  (BigInt(file) << 32n) | BigInt(Math.floor(position / blockBytes));

/** The bytes of a file from `position` to the end of its block, if they are in memory. */
export function recentAt(
  { memory, tags, file }: RecentBytes,
  position: number,
): Uint8Array<SharedArrayBuffer> | undefined {
  const tag = blockTag(file, position);
  for (let place = 0; place < tags.length; place += 1) {
    if (Atomics.load(tags, place) !== tag) continue;
    const skip = position % blockBytes;
    return new Uint8Array(memory, place * blockBytes + skip, blockBytes - skip);
  }
  return undefined;
}
