import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { directoryMode } from "../../runtime/own-file.ts";
import { type Digest, digestAlgorithm, digestHex } from "../../oci/digest.ts";
import {
  type CacheEntry,
  type CacheUse,
  givesBytesOf,
  lastUse,
  noteUse,
  readEntry,
  statBlob,
  withUse,
  writeEntry,
} from "./entry.ts";
import { type BlobAddress, openLookup } from "./find-blob.ts";
import {
  type CachePlace,
  cacheFailure,
  cacheDirectoryOrNowhere,
  cacheDirectories,
  isUnusable,
} from "./directory.ts";
import { makeDirectories, makeReady } from "./files.ts";
import { openTempFiles } from "./temp.ts";
import {
  type HeldLock,
  LockUnavailable,
  type LockOptions,
  tryLockFile,
} from "../locks/lock-file.ts";
import { type WaitOptions, lockFile, waitForLock } from "../locks/wait-for-lock.ts";
import type { RecordTemp } from "./record-file.ts";

/**
 * The local store of blobs by digest, shared between processes and, where permissions allow, users.
 *
 *     blobs/sha256/<hex>             a blob, read-only
 *     records/blobs/sha256-<hex>     what it is called; the record's time is its last use
 *     tmp/                           what is being fetched or made
 *     locks/                         who is at it
 *
 * Nothing is made on disk before something is written. Methods that write throw as `cacheFailure`, naming
 * the directory and the reason, when it is full or can't be written; see `isUnusable` for going on without.
 */
export interface Cache {
  readonly root: string;
  /** Whether nothing is written, noted or thrown away: for a look at what is here. */
  readonly isReadOnly: boolean;
  /** For small records of other modules. */
  readonly recordsDir: string;
  blobPath(digest: Digest): string;
  /** Where a blob that is being fetched grows; the next run goes on from what is there. Hold its lock. */
  partialPath(digest: Digest): string;
  /** Beside `partialPath`, for what the transfer notes about it. */
  journalPath(digest: Digest): string;
  /**
   * A new path for a temporary file on the cache's file system; its directory is made. Hand the file to
   * `putFile` or `discardTemp`; what a killed process leaves is removed by a later one.
   */
  tempPath(name: string): Promise<string>;
  /** Removes a temporary file, which need not exist. */
  discardTemp(path: string): Promise<void>;
  /** Keeps what temporary files need until what is returned is called: for many of them one by one. */
  holdTemp(): () => Promise<void>;
  /** Whether the blob is here and fit for use; see `find`. */
  has(blob: BlobAddress, signal?: AbortSignal): Promise<boolean>;
  /**
   * The blob's file when it is here and fit for use, else undefined. When its size or time of change is
   * not as recorded the bytes are hashed, and what does not match is thrown away. A file that another user
   * can change is hashed by each process: see `isForeign` before it is used.
   */
  find(blob: BlobAddress, signal?: AbortSignal): Promise<string | undefined>;
  /** Whether another user can change the blob's file after it was found: what is made of it is checked. */
  isForeign(digest: Digest): Promise<boolean>;
  /**
   * Takes a file whose size and digest the caller has verified into the cache, flushed, and returns its
   * path there. The file must be on the cache's file system (`tempPath`, `partialPath`).
   */
  putFile(path: string, digest: Digest, size: number, use?: CacheUse): Promise<string>;
  /** The blob's record and the time of its last use, or undefined. */
  entry(digest: Digest): Promise<(CacheEntry & { lastUsed: Date }) | undefined>;
  /** Notes a use for `cache ls` and `cache prune`. Never throws: a shared cache may be read-only. */
  noteUse(digest: Digest, use?: CacheUse): Promise<void>;
  /** Locks a blob against other processes. Throws `LockUnavailable` where nothing can be locked. */
  lock(digest: Digest, options: WaitOptions): Promise<HeldLock>;
  /** Like `lock`, without waiting: undefined when another holds it. */
  tryLock(digest: Digest, options?: LockOptions): Promise<HeldLock | undefined>;
  /** Tries again until `attempt`, which uses `tryLock`, gives something; see `waitForLock`. */
  waitForLock<T>(
    digest: Digest,
    options: WaitOptions,
    attempt: () => Promise<T | undefined>,
  ): Promise<T>;
  /** Like `lock`, for something that has a name and no digest. */
  lockName(name: string, options: WaitOptions): Promise<HeldLock>;
  /** Removes a blob and its record. Hold its lock. */
  remove(digest: Digest): Promise<void>;
  /** Notes that the blob's file, changed at `modified`, was found to be right. Never throws. */
  confirm(blob: BlobAddress, modified: number): Promise<void>;
  /**
   * Removes a blob that was found to be damaged if its file is still the one changed at `modified`:
   * another process may have put a good one. Says whether it did; a read-only cache keeps it.
   */
  removeDamaged(digest: Digest, modified: number): Promise<boolean>;
}

const fileName = (digest: Digest): string => `${digestAlgorithm(digest)}-${digestHex(digest)}`;

/** The cache of this environment; one that takes nothing where no place for it is known. Touches nothing on disk. */
export const openCache = (place: CachePlace): Cache => cacheAt(cacheDirectoryOrNowhere(place));

/** The same cache, to be looked at only. */
export const readOnlyCache = ({ root }: Cache): Cache => cacheAt(root, givesBytesOf, true);

/** The cache in a directory, which need not exist. `gives` says whether a file has the bytes that its name means. */
export function cacheAt(root: string, gives = givesBytesOf, isReadOnly = false): Cache {
  const directories = cacheDirectories(root);
  const recordPath = (digest: Digest) => join(directories.records, "blobs", fileName(digest));
  const blobPath = (digest: Digest) =>
    join(directories.blobs, digestAlgorithm(digest), digestHex(digest));

  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof LockUnavailable)) throw cacheFailure(root, error);
      // That this user may not write is not that nobody can lock.
      throw isUnusable(error.cause) ? cacheFailure(root, error.cause) : error;
    }
  };

  let made: Promise<void> | undefined;
  let isMade = false;
  const make = async (): Promise<void> => {
    if (isReadOnly) throw new TypeError("the cache is only looked at");
    // A server outlives a cache that its user removes.
    if (isMade && !existsSync(directories.locks)) {
      isMade = false;
      made = undefined;
    }
    made ??= makeDirectories(root);
    try {
      await made;
      isMade = true;
    } catch (error) {
      made = undefined;
      throw error;
    }
  };

  const temp = openTempFiles(directories.temp, directories.locks);
  const tempPath = async (name: string): Promise<string> => {
    await make();
    return temp.path(name);
  };
  const recordTemp: RecordTemp = { tempPath, discardTemp: temp.done };

  const remove = async (digest: Digest): Promise<void> => {
    await rm(blobPath(digest), { force: true });
    await rm(recordPath(digest), { force: true });
  };

  const { find, confirm, removeDamaged } = openLookup({
    blobPath,
    recordPath,
    recordTemp,
    isReadOnly,
    remove,
    gives,
  });

  return {
    root,
    isReadOnly,
    recordsDir: directories.records,
    blobPath,
    partialPath: (digest) => join(directories.temp, `${fileName(digest)}.partial`),
    journalPath: (digest) => join(directories.temp, `${fileName(digest)}.journal`),
    tempPath: (name) => guarded(() => tempPath(name)),
    holdTemp: () => temp.hold(),
    discardTemp: (path) => guarded(() => temp.done(path)),
    find,
    isForeign: async (digest) => (await statBlob(blobPath(digest)))?.trusted === false,
    has: async (blob, signal) => (await find(blob, signal)) !== undefined,
    putFile: (source, digest, size, use = {}) =>
      guarded(async () => {
        await make();
        const modified = await makeReady(source, digest, size);
        const path = blobPath(digest);
        await mkdir(dirname(path), { recursive: true, mode: directoryMode });
        // Its bytes are flushed. A name that a power failure takes away is a blob to be fetched again.
        await rename(source, path);
        await temp.done(source);
        const before = await readEntry(recordPath(digest), digest);
        const entry = { names: [], origins: [], ...before, digest, size, modified };
        // A disk that is full now has the blob: without its record it is hashed again at its next use.
        await writeEntry(recordTemp, recordPath(digest), withUse(entry, use)).catch(
          () => undefined,
        );
        return path;
      }),
    async entry(digest) {
      const path = recordPath(digest);
      const [entry, lastUsed] = await Promise.all([
        readEntry(path, digest, { ofAnyone: true }),
        lastUse(path),
      ]);
      return entry === undefined || lastUsed === undefined ? undefined : { ...entry, lastUsed };
    },
    async noteUse(digest, use = {}) {
      if (isReadOnly) return;
      try {
        const entry = await readEntry(recordPath(digest), digest);
        if (entry !== undefined) await noteUse(recordTemp, recordPath(digest), entry, use);
      } catch {
        // Only what `cache ls` shows and the order of `cache prune` suffer.
      }
    },
    lock: (digest, options) =>
      guarded(async () => {
        await make();
        return lockFile(join(directories.locks, fileName(digest)), options);
      }),
    tryLock: (digest, options) =>
      guarded(async () => {
        await make();
        return tryLockFile(join(directories.locks, fileName(digest)), options);
      }),
    waitForLock: (digest, options, attempt) =>
      waitForLock(join(directories.locks, fileName(digest)), options, attempt),
    lockName: (name, options) =>
      guarded(async () => {
        await make();
        return lockFile(join(directories.locks, name), options);
      }),
    remove: (digest) => guarded(() => remove(digest)),
    confirm,
    removeDamaged,
  };
}
