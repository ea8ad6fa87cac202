import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type * as v from "valibot";
import { createFile, directoryMode, readableMode } from "../../runtime/own-file.ts";
import { readOwnFile } from "../../runtime/trusted-file.ts";
import { parseDocument } from "../../oci/document.ts";
import type { HeldLock } from "../locks/lock-file.ts";
import type { WaitOptions } from "../locks/wait-for-lock.ts";
import { writeAll } from "../verified-write.ts";

/**
 * A record of the cache, checked against its schema. A record only saves work, so one that is missing,
 * damaged, larger than `maxBytes` or not a regular file is undefined, and never an error. The same holds
 * for one that another user can have written, unless `ofAnyone` is set.
 */
export async function readRecord<Schema extends v.GenericSchema>(
  path: string,
  schema: Schema,
  maxBytes: number,
  { ofAnyone = false }: { ofAnyone?: boolean } = {},
): Promise<v.InferOutput<Schema> | undefined> {
  try {
    const bytes = readOwnFile(path, { maxBytes, ofAnyone });
    return bytes && parseDocument(bytes, schema, path);
  } catch {
    return undefined;
  }
}

/** Where half-written records lie: a cache, which removes what a killed process leaves there. */
export interface RecordTemp {
  tempPath(name: string): Promise<string>;
  discardTemp(path: string): Promise<void>;
}

/**
 * Writes a record so that its name never shows half of it. Not flushed: what a power failure takes
 * away is found out again. A content in chunks is written chunk by chunk. Makes the directory. `mode` is what others
 * may do with it: nobody but this user may write it, whatever the umask says. Throws the file system's errors.
 */
export async function writeRecord(
  cache: RecordTemp,
  path: string,
  content: string | Uint8Array | Iterable<Uint8Array>,
  { mode = readableMode }: { mode?: number } = {},
): Promise<void> {
  const temp = await cache.tempPath("record");
  try {
    const file = await createFile(temp, mode);
    try {
      if (typeof content === "string" || content instanceof Uint8Array)
        await file.writeFile(content);
      else {
        let position = 0;
        for (const chunk of content) {
          await writeAll(file, chunk, position);
          position += chunk.byteLength;
        }
      }
    } finally {
      await file.close();
    }
    await mkdir(dirname(path), { recursive: true, mode: directoryMode });
    await rename(temp, path);
  } finally {
    await cache.discardTemp(temp);
  }
}

/** Removes the oldest records of a directory while there are more than `records`, or more `bytes`. Never throws. */
export async function removeOldestRecords(
  directory: string,
  { records, bytes = Number.POSITIVE_INFINITY }: { records: number; bytes?: number },
): Promise<void> {
  try {
    const names = await readdir(directory);
    if (names.length <= records && bytes === Number.POSITIVE_INFINITY) return;
    const found = await Promise.all(
      names.map(async (name) => {
        const path = join(directory, name);
        const { mtimeMs, size } = await stat(path);
        return { path, modified: mtimeMs, size };
      }),
    );
    let total = 0;
    for (const [at, { path, size }] of found
      .toSorted((a, b) => b.modified - a.modified)
      .entries()) {
      total += size;
      if (at >= records || total > bytes) await rm(path, { force: true });
    }
  } catch {
    // Nothing there yet, or another process removes them: the next one that is written is followed by this again.
  }
}

/** A record's lock is held for one read and one write; a holder that hangs is not waited for longer. */
const lockPatience = 2000;

/**
 * Runs `work`, which reads a record, merges it and writes it, while no other process does the same.
 * Where that lock is not to be had it runs all the same: a lost update only costs work later.
 * Never throws.
 */
export async function mergeRecord(
  locks: { lockName(name: string, options: WaitOptions): Promise<HeldLock> },
  name: string,
  work: () => Promise<void>,
): Promise<void> {
  const lock = await locks
    .lockName(`record-${name}`, { signal: AbortSignal.timeout(lockPatience) })
    .catch(() => undefined);
  try {
    await work();
  } catch {
    // A full or read-only cache keeps no records; the run is as right without them.
  } finally {
    lock?.release();
  }
}
