import { Buffer } from "node:buffer";
import { readSync } from "node:fs";
import { type FileHandle, rm } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ByteRange } from "../../oci/content.ts";
import { createFile, privateMode } from "../../runtime/own-file.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { cacheFailure } from "../../store/cache/directory.ts";
import { fileChunks } from "../../store/file-chunks.ts";
import { writeAll } from "../../store/verified-write.ts";

/** Pieces up to this size are read at once: to wait for each would take most of the time. In bytes. */
const shortPiece = 64 * 1024;
/** So many of them are read in a row before others get their turn. */
const readInARow = 1024;

/** Parts in a temporary file of the cache, one behind another; it is made with the first of them. */
export function partsOnDisk(cache: Cache) {
  const starts = new Map<number, number>();
  const buffer = Buffer.allocUnsafe(shortPiece);
  let end = 0;
  let inARow = 0;
  let temp: { path: string; file: FileHandle } | undefined;
  const onDisk = async <T>(work: () => Promise<T> | T): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw cacheFailure(cache.root, error);
    }
  };
  const open = async () => {
    const path = await cache.tempPath("part");
    temp = { path, file: await createFile(path, privateMode) };
    return temp;
  };
  return {
    /** Keeps what `fill` writes, at most `size` bytes; of a part that is kept nothing is done. */
    async keep(
      part: number,
      size: number,
      fill: (write: (chunk: Uint8Array, at: number) => Promise<void>) => Promise<void>,
    ): Promise<void> {
      if (starts.has(part)) return;
      const { file } = temp ?? (await onDisk(open));
      const start = end;
      starts.set(part, start);
      end += size;
      await fill((chunk, at) => onDisk(() => writeAll(file, chunk, start + at)));
    },
    /** Hands on a range of a part, as far as it was written. */
    async read(
      part: number,
      range: ByteRange,
      signal: AbortSignal,
      take: (chunk: Uint8Array) => void,
    ): Promise<void> {
      const start = starts.get(part);
      if (temp === undefined || start === undefined)
        throw new TypeError(`part ${part} is not kept`);
      const { file } = temp;
      const length = range.end - range.start;
      if (length > shortPiece) {
        const [from, to] = [start + range.start, start + range.end];
        for await (const chunk of fileChunks(file, from, to, signal)) take(chunk);
        return;
      }
      const bytes = await onDisk(() => readSync(file.fd, buffer, 0, length, start + range.start));
      take(buffer.subarray(0, bytes));
      inARow += 1;
      if (inARow % readInARow === 0) await nextTurn();
    },
    /** Never throws. */
    async remove(): Promise<void> {
      if (temp === undefined) return;
      const { path, file } = temp;
      await file.close().catch(() => undefined);
      await rm(path, { force: true }).catch(() => undefined);
      await cache.discardTemp(path).catch(() => undefined);
    },
  };
}
