import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { readableMode } from "../../../runtime/own-file.ts";
import { writeAll } from "../../../store/verified-write.ts";
import { withDirectory } from "./files.ts";

/**
 * Writes of so many bytes go past the page cache where the system can do that. Weights are larger than what is
 * worth keeping there, and filling it costs more time than the disk takes.
 */
const leastDirect = 256 * 1024;
const directAlignment = 4096;

/** A file that grows. */
export interface AppendTarget {
  write(bytes: Uint8Array, position: number): Promise<void>;
  cut(size: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * A file that is there, or is made with the first bytes where it `isNew`; it is written through the page cache, or past
 * it where size and place of the bytes allow. It is opened for either once there is use for that.
 */
export function openAppendTarget(path: string, file: { isNew?: boolean } = {}): AppendTarget {
  let buffered: Promise<FileHandle> | undefined;
  // Undefined where this system, file system or memory can't.
  let direct: Promise<FileHandle | undefined> | undefined;
  const openIt = async (flags: number): Promise<FileHandle> => {
    if (file.isNew !== true) return open(path, flags);
    // Where a file system has no direct access, the file is there after the attempt all the same.
    const made = await withDirectory(path, () =>
      open(path, flags | constants.O_CREAT, readableMode),
    );
    file.isNew = false;
    return made;
  };
  const whole = (): Promise<FileHandle> => (buffered ??= openIt(constants.O_RDWR));
  const openDirect = (): Promise<FileHandle | undefined> =>
    constants.O_DIRECT === undefined
      ? Promise.resolve(undefined)
      : openIt(constants.O_WRONLY | constants.O_DIRECT).catch(() => undefined);
  const writeDirect = async (bytes: Uint8Array, position: number): Promise<boolean> => {
    try {
      const handle = await (direct ??= openDirect());
      if (handle === undefined) return false;
      return (await handle.write(bytes, 0, bytes.length, position)).bytesWritten === bytes.length;
    } catch {
      // It is written the other way then; what is really wrong shows there.
      return false;
    }
  };
  return {
    async write(bytes, position) {
      // What is left at the end is less than a block.
      const blocks = bytes.subarray(0, bytes.length - (bytes.length % directAlignment));
      const suits = position % directAlignment === 0 && blocks.length >= leastDirect;
      const done = suits && (await writeDirect(blocks, position)) ? blocks.length : 0;
      if (done < bytes.length) await writeAll(await whole(), bytes.subarray(done), position + done);
    },
    cut: async (size) => (await whole()).truncate(size),
    async close() {
      await (await direct)?.close();
      // What it could not be opened for was told by the write.
      await (await buffered?.catch(() => undefined))?.close();
    },
  };
}
