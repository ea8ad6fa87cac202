import { closeSync, writeSync } from "node:fs";
import { withDirectorySync } from "./make-directory.ts";
import { createFileSync, openOldSync, readableMode, reopenDirect } from "./own-file.ts";

/**
 * Writes of so many bytes go past the page cache where the system can do that. Weights are larger than what is
 * worth keeping there, and filling it costs more time than the disk takes.
 */
const leastDirect = 256 * 1024;
const directAlignment = 4096;

/** A file that grows, open in this thread, which waits for each write. */
export interface AppendFile {
  /** Writes all of the bytes at a position. Throws errno errors. */
  write(bytes: Uint8Array, position: number): void;
  close(): void;
}

/** Opens a file that is there, or makes one that `isNew`, with its directory. Throws errno errors. */
export function openAppendFile(path: string, isNew: boolean): AppendFile {
  const file = isNew
    ? withDirectorySync(path, () => createFileSync(path, readableMode))
    : openOldSync(path);
  // Opened when there is use for it; undefined where this system, file system or memory can't.
  let direct: { file: number | undefined } | undefined;
  const writeDirect = (bytes: Uint8Array, position: number): boolean => {
    direct ??= { file: reopenDirect(file) };
    if (direct.file === undefined) return false;
    try {
      return writeSync(direct.file, bytes, 0, bytes.length, position) === bytes.length;
    } catch {
      // It is written the other way then; what is really wrong shows there.
      return false;
    }
  };
  return {
    write(bytes, position) {
      // What is left at the end is less than a block.
      const blocks = bytes.subarray(0, bytes.length - (bytes.length % directAlignment));
      const suits = position % directAlignment === 0 && blocks.length >= leastDirect;
      let done = suits && writeDirect(blocks, position) ? blocks.length : 0;
      while (done < bytes.length) {
        done += writeSync(file, bytes, done, bytes.length - done, position + done);
      }
    },
    close() {
      if (direct?.file !== undefined) closeSync(direct.file);
      closeSync(file);
    },
  };
}
