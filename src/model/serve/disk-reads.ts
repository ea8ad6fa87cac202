import type { Digest } from "../../oci/digest.ts";
import { dropOldest } from "../../flow/drop-oldest.ts";
import type { ByteRange } from "../../oci/content.ts";
import { type DirectReader, directReader } from "../../runtime/direct-reader.ts";
import type { CachedShare } from "../../runtime/page-cache.ts";
import { MiB } from "../../transfer/units.ts";

/** Read past the page cache at once, in bytes: a multiple of the largest page of any system. */
const blockBytes = 512 * 1024;

/** Of a shorter range, nothing is read past the page cache. In bytes. */
const leastRange = 16 * MiB;

/** So many answers at once have memory for blocks, two for each. Others are read through the page cache. */
const mostAnswers = 4;

/** Of more files, it is forgotten which were read. */
const mostFiles = 4096;

/** A file that is open, for one answer. */
export interface OpenedFile {
  /** Its descriptor. */
  file: number;
  /** What names its content, and its size in bytes. */
  name: Digest;
  size: number;
}

/** Reads of files of the cache that are not in the page cache, past it. */
export interface DiskReads {
  /** An answer with a range of a file begins. Call `end` when no read is under way. */
  begin(opened: OpenedFile, range: ByteRange): DiskReader;
  /** The file with this content is a new one: nobody has read it yet. */
  renew(name: Digest): void;
}

/** The reads of one answer. */
export interface DiskReader {
  /**
   * Bytes of the range from `position` on, valid until the second read from here; undefined where they are to be read
   * through the page cache. Never rejects.
   */
  read(position: number): Promise<Uint8Array | undefined>;
  end(): void;
}

/** Who reads a file, and how many of its bytes were read past the page cache so far. */
interface FileReads {
  answers: number;
  passed: number;
}

type Blocks = [Uint8Array, Uint8Array];

/**
 * What a download left on the disk is not in the page cache, and to put it there takes longer than the disk on systems
 * that give unused memory back: five seconds of CPU time for 2 GiB, of which the client has less then. So the first
 * client that reads it is not made to wait for that, and a file that nobody else reads takes no memory from others. As
 * soon as a second one reads the same file, then or later, it goes through the page cache: each byte is read past it
 * once. What is in the page cache is always read from there.
 */
export function diskReads(
  cachedShare: CachedShare | undefined,
  openDirect: (file: number) => DirectReader | undefined = directReader,
): DiskReads {
  const files = new Map<Digest, FileReads>();
  const unused: Blocks[] = [];
  let answers = 0;

  const readsOf = (name: Digest): FileReads => {
    const reads = files.get(name) ?? { answers: 0, passed: 0 };
    files.delete(name);
    files.set(name, reads);
    dropOldest(files, mostFiles);
    return reads;
  };
  const takeBlocks = (): Blocks | undefined => {
    if (answers === mostAnswers) return undefined;
    answers += 1;
    return unused.pop() ?? [newBlock(), newBlock()];
  };

  return {
    renew: (name) => void files.delete(name),
    begin({ file, name, size }, range) {
      if (cachedShare === undefined || range.end - range.start < leastRange) return throughCache;
      const reads = readsOf(name);
      reads.answers += 1;
      let blocks: Blocks | undefined;
      let direct: DirectReader | undefined;
      let isUsable = true;

      /** Whether the block is best read past the page cache, and can be. */
      const isDue = (start: number): boolean => {
        if (!isUsable || reads.answers > 1 || reads.passed >= size) return false;
        const share = cachedShare(file, start, Math.min(start + blockBytes, size));
        if (share === undefined || share >= 0.5) return false;
        blocks ??= takeBlocks();
        if (blocks === undefined) return false;
        direct ??= openDirect(file);
        isUsable = direct !== undefined;
        return isUsable;
      };
      return {
        async read(position) {
          const skip = position % blockBytes;
          if (!isDue(position - skip) || blocks === undefined) return undefined;
          const [block] = blocks;
          blocks.reverse();
          const length = (await direct?.read(block, position - skip)) ?? 0;
          // It may have ended too early, or the file system takes no such reads after all.
          isUsable = length > skip;
          if (!isUsable) return undefined;
          const bytes = block.subarray(skip, Math.min(length, range.end - position + skip));
          reads.passed += bytes.length;
          return bytes;
        },
        end() {
          reads.answers -= 1;
          direct?.close();
          if (blocks === undefined) return;
          answers -= 1;
          unused.push(blocks);
        },
      };
    },
  };
}

const throughCache: DiskReader = { read: () => Promise.resolve(undefined), end() {} };

/** Shared memory begins at a page. */
const newBlock = (): Uint8Array => new Uint8Array(new SharedArrayBuffer(blockBytes));
