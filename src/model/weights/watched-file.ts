import type { BigIntStats } from "node:fs";
import { OcibundleError } from "../../errors.ts";
import { createWorkerPool } from "../../runtime/worker-pool.ts";
import { isUnchanged } from "../../store/records/file-records.ts";
import { readFailure, type Sha256 } from "./file-state.ts";

/** A file of which it is known what it holds. */
export interface WatchedFile {
  path: string;
  digest: Sha256;
  /** In bytes. */
  size: number;
  /** As it was when it was looked at first. */
  stats: BigIntStats;
  /** Looks at it again. Throws what makes it another file without its bytes being read, such as its size. */
  look(): Promise<BigIntStats>;
  /** What to do about it when it holds something else. */
  hint: string;
}

/**
 * Throws `integrity` where a file no longer holds what it did, and as `look`. One that was only touched or linked to
 * is read once to find out: all callers wait for the same reading.
 */
export function watchFile(file: WatchedFile, signal: AbortSignal): () => Promise<void> {
  let { stats } = file;
  let reading: Promise<void> | undefined;
  const read = async (now: BigIntStats): Promise<void> => {
    try {
      if (!(await holds(file, signal))) throw changed(file);
      stats = now;
    } finally {
      reading = undefined;
    }
  };
  return async () => {
    const now = await file.look();
    if (isUnchanged(stats, now)) return;
    reading ??= read(now);
    await reading;
  };
}

async function holds({ path, digest, size }: WatchedFile, signal: AbortSignal): Promise<boolean> {
  const pool = createWorkerPool(1);
  try {
    const [hashed] = await pool.hash([{ path, start: 0, end: size }], { signal });
    return hashed?.digest === digest;
  } catch (error) {
    throw readFailure({ path }, error);
  } finally {
    pool.close();
  }
}

const changed = ({ path, hint }: WatchedFile): OcibundleError =>
  new OcibundleError("integrity", `"${path}" changed while it was sent`, { hint });
