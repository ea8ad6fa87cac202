import { closeSync, write } from "node:fs";
import { reopenDirect } from "./own-file.ts";

/**
 * Writes past the page cache at once, of one file. Where the disk is slower than what arrives, the rest goes through
 * the page cache, which takes it at once.
 */
const mostAtOnce = 8;

/** Writes past the page cache, each in another thread. */
export interface DirectWriter {
  /** Whether a write would begin at once. */
  readonly isFree: boolean;
  /**
   * Writes bytes that begin at a page of the memory to a position; both they and the position are multiples of the
   * largest page of any system. False where that is not to be had now: then they are to be written otherwise. Never
   * rejects.
   */
  write(bytes: Uint8Array, position: number): Promise<boolean>;
  /** Call it when no write is under way. */
  close(): void;
}

/** Writes to an open file past the page cache, where the system and the file system can do that. */
export function directWriter(file: number): DirectWriter {
  const direct = reopenDirect(file);
  let isUsable = direct !== undefined;
  let underWay = 0;
  return {
    get isFree() {
      return isUsable && underWay < mostAtOnce;
    },
    async write(bytes, position) {
      if (direct === undefined || !isUsable || underWay >= mostAtOnce) return false;
      underWay += 1;
      try {
        // What is really wrong shows when they are written the other way.
        isUsable = (await writeAt(direct, bytes, position)) === bytes.length;
      } catch {
        isUsable = false;
      } finally {
        underWay -= 1;
      }
      return isUsable;
    },
    close() {
      isUsable = false;
      if (direct !== undefined) closeSync(direct);
    },
  };
}

const writeAt = (file: number, bytes: Uint8Array, position: number): Promise<number> =>
  new Promise((resolve, reject) => {
    write(file, bytes, 0, bytes.length, position, (error, written) => {
      if (error === null) resolve(written);
      else reject(error);
    });
  });
