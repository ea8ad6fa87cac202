import type { FileHandle } from "node:fs/promises";
import { unwritable } from "../../runtime/file-faults.ts";
import { MiB } from "../units.ts";

/** After so many bytes the disk is set to work, so that the flush at the end has little left to wait for. */
const flushBytes = 128 * MiB;

/** A file that is flushed now and then while it grows. */
export interface Flushes {
  /**
   * Called when the file has so many bytes: it may be flushed, which is not waited for. Throws as `unwritable` what the
   * flush before met: the disk tells it once only.
   */
  at(bytes: number): void;
  /** Resolves when no flush is under way. Throws as `at`. */
  end(): Promise<void>;
}

/** The flushes of a file that has `bytes` already, which may be on the disk. `path` is for errors. */
export function flushesOf(handle: FileHandle, path: string, bytes: number): Flushes {
  let flushed = bytes;
  let flushing: Promise<void> | undefined;
  let failure: unknown;

  const check = (): void => {
    if (failure !== undefined) throw unwritable(path, failure);
  };
  const flush = async (): Promise<void> => {
    try {
      await handle.datasync();
    } catch (error) {
      failure = error;
    }
    flushing = undefined;
  };
  return {
    at(now) {
      check();
      if (flushing !== undefined || now - flushed < flushBytes) return;
      flushed = now;
      flushing = flush();
    },
    async end() {
      await flushing;
      check();
    },
  };
}
