import type { ByteRange } from "../../oci/content.ts";
import { type DirectWriter, directWriter } from "../../runtime/direct-writer.ts";
import { blockBytes } from "../../runtime/recent-bytes.ts";
import type { Block, RecentFile } from "./recent-blocks.ts";

/** Writes the blocks of a file that are kept in memory. */
export interface BlockWriter {
  /**
   * Takes `chunks` over if `range` is a block that there is a place for in memory: it may be written only later, which
   * `onWritten` tells. False where it isn't taken. Throws what an earlier write has failed with.
   */
  write(range: ByteRange, chunks: readonly Uint8Array[]): Promise<boolean>;
  /** Resolves when all that was taken is written. Throws what a write has failed with. */
  drain(): Promise<void>;
  /** Ends when no write is under way. Never throws. */
  close(): Promise<void>;
}

/**
 * The blocks of an open file: they are written past the page cache, since those who want them have them from memory.
 * Gigabytes of page cache that nobody reads take longer than the disk on systems that give unused memory back. Nobody
 * waits for a slow disk: while it is busy, `writeThrough` writes, through the page cache.
 */
export function blockWriter(
  file: number,
  recent: RecentFile,
  {
    writeThrough,
    onWritten,
    direct = directWriter(file),
  }: {
    writeThrough(position: number, chunks: Uint8Array[]): Promise<void>;
    onWritten(range: ByteRange): void;
    /** Another in tests. */
    direct?: DirectWriter;
  },
): BlockWriter {
  const underWay = new Set<Promise<void>>();
  let failure: { error: unknown } | undefined;

  const finish = async (block: Block, range: ByteRange, isWritten: boolean): Promise<void> => {
    try {
      if (!isWritten) await writeThrough(range.start, [block.bytes]);
      block.publish();
    } catch (error) {
      block.drop();
      throw error;
    }
    onWritten(range);
  };
  const later = (block: Block, range: ByteRange, writing: Promise<boolean>): void => {
    const work = writing
      .then((isWritten) => finish(block, range, isWritten))
      .catch((error: unknown) => {
        failure ??= { error };
      })
      .finally(() => underWay.delete(work));
    underWay.add(work);
  };
  const throwFailure = (): void => {
    if (failure !== undefined) throw failure.error;
  };
  return {
    async write(range, chunks) {
      throwFailure();
      const { start, end } = range;
      if (start % blockBytes !== 0 || end - start !== blockBytes) return false;
      const block = await recent.take(start);
      if (block === undefined) return false;
      let filled = 0;
      for (const chunk of chunks) {
        block.bytes.set(chunk, filled);
        filled += chunk.length;
      }
      if (direct.isFree) later(block, range, direct.write(block.bytes, start));
      else await finish(block, range, false);
      return true;
    },
    async drain() {
      await Promise.all(underWay);
      throwFailure();
    },
    async close() {
      await Promise.all(underWay);
      direct.close();
    },
  };
}
