import { closeSync, read } from "node:fs";
import { reopenDirectToRead } from "./regular-file.ts";

/** Reads of one open file past the page cache, in another thread. */
export interface DirectReader {
  /**
   * Fills bytes that begin at a page of the memory from a position; both their number and the position are multiples of
   * the largest page of any system. How many were read: fewer where the file ends, and undefined where that is not to
   * be had: then they are to be read otherwise. Never rejects.
   */
  read(bytes: Uint8Array, position: number): Promise<number | undefined>;
  /** Call it when no read is under way. */
  close(): void;
}

/** Reads an open file past the page cache; undefined where the system or the file system can't do that. */
export function directReader(file: number): DirectReader | undefined {
  const direct = reopenDirectToRead(file);
  if (direct === undefined) return undefined;
  return {
    // What is really wrong shows when they are read the other way.
    read: (bytes, position) =>
      new Promise((resolve) => {
        read(direct, bytes, 0, bytes.length, position, (error, length) => {
          resolve(error === null ? length : undefined);
        });
      }),
    close: () => closeSync(direct),
  };
}
