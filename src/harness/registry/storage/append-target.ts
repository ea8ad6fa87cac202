import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { writeAll } from "../../../store/verified-write.ts";

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
 * A file that is there; it is written through the page cache, or past it where size and place of the bytes allow. It is
 * opened for either once there is use for that.
 */
export function openAppendTarget(path: string): AppendTarget {
  let buffered: Promise<FileHandle> | undefined;
  // Undefined where this system, file system or memory can't.
  let direct: Promise<FileHandle | undefined> | undefined;
  const file = (): Promise<FileHandle> => (buffered ??= open(path, "r+"));
  const openDirect = (): Promise<FileHandle | undefined> =>
    constants.O_DIRECT === undefined
      ? Promise.resolve(undefined)
      : open(path, constants.O_WRONLY | constants.O_DIRECT).catch(() => undefined);
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
      const whole = bytes.subarray(0, bytes.length - (bytes.length % directAlignment));
      const suits = position % directAlignment === 0 && whole.length >= leastDirect;
      const done = suits && (await writeDirect(whole, position)) ? whole.length : 0;
      if (done < bytes.length) await writeAll(await file(), bytes.subarray(done), position + done);
    },
    cut: async (size) => (await file()).truncate(size),
    async close() {
      await (await direct)?.close();
      // What it could not be opened for was told by the write.
      await (await buffered?.catch(() => undefined))?.close();
    },
  };
}
