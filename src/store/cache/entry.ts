import { lstat, stat, utimes } from "node:fs/promises";
import * as v from "valibot";
import { errno } from "../../errors.ts";
import { SizeSchema } from "../../oci/descriptor.ts";
import { type Digest, DigestSchema, digestHex, hasherFor } from "../../oci/digest.ts";
import { isTrusted } from "../../runtime/trusted-file.ts";
import { fileChunks } from "../file-chunks.ts";
import { type RecordTemp, readRecord, writeRecord } from "./record-file.ts";

const EntrySchema = v.object({
  digest: DigestSchema,
  size: SizeSchema,
  /** The blob file's time of change in milliseconds when its bytes were last known to be right. */
  modified: v.pipe(v.number(), v.safeInteger()),
  /** Names of weights that are this blob, the last one used first. */
  names: v.array(v.string()),
  /** Where it came from, as `host/repository`, the last one used first. */
  origins: v.array(v.string()),
});

/** What is known of a cached blob besides its bytes; made anew when lost. */
export type CacheEntry = v.InferOutput<typeof EntrySchema>;

/** The time of the last use, or undefined when there is no record. */
export const lastUse = async (path: string): Promise<Date | undefined> =>
  (await stat(path).catch(() => undefined))?.mtime;

/** What a user of a blob calls it. */
export interface CacheUse {
  name?: string | undefined;
  origin?: string | undefined;
}

/** Names and origins are for people: a few are enough. */
const longestList = 8;
const maxEntryBytes = 64 * 1024;

/**
 * The blob's record, or undefined when there is none that can be read: then the blob is hashed again. Of
 * another user's record (`ofAnyone`) only the names are used, and they are only shown.
 */
export async function readEntry(
  path: string,
  digest: Digest,
  options: { ofAnyone?: boolean } = {},
): Promise<CacheEntry | undefined> {
  const entry = await readRecord(path, EntrySchema, maxEntryBytes, options);
  return entry?.digest === digest ? entry : undefined;
}

/** Writes the record of a blob, whole or not at all. */
export const writeEntry = (cache: RecordTemp, path: string, entry: CacheEntry): Promise<void> =>
  writeRecord(cache, path, `${JSON.stringify(entry)}\n`);

const withFirst = (list: readonly string[], item: string | undefined): string[] =>
  item === undefined
    ? [...list]
    : [item, ...list.filter((other) => other !== item)].slice(0, longestList);

const isFirst = (list: readonly string[], item: string | undefined): boolean =>
  item === undefined || list[0] === item;

/** The entry with a use's name and origin put first. */
export const withUse = (entry: CacheEntry, use: CacheUse): CacheEntry => ({
  ...entry,
  names: withFirst(entry.names, use.name),
  origins: withFirst(entry.origins, use.origin),
});

/**
 * Notes that a blob is used now. The record's own time is that of the last use, so that a use under
 * the name that was last used writes nothing. Throws the file system's errors.
 */
export async function noteUse(
  cache: RecordTemp,
  path: string,
  entry: CacheEntry,
  use: CacheUse,
): Promise<void> {
  if (isFirst(entry.names, use.name) && isFirst(entry.origins, use.origin)) {
    const now = new Date();
    try {
      await utimes(path, now, now);
      return;
    } catch {
      // Another user's record: one of our own takes its place.
    }
  }
  await writeEntry(cache, path, withUse(entry, use));
}

/** The state of a blob's file, against which its record is compared. */
export interface BlobFile {
  size: number;
  /** Whole milliseconds since 1970: all that every runtime tells. */
  modified: number;
  /** Whether nobody but this user and root can have written it. */
  trusted: boolean;
  /** Changes with the content, whoever changes it: of a file that another user owns its owner sets the rest. */
  changedNs: bigint;
  inode: bigint;
  /** How many names the file has: more than one when it was materialised as a hard link. */
  links: number;
}

/** A blob's file as it is now, or undefined when there is no regular file. */
export async function statBlob(path: string): Promise<BlobFile | undefined> {
  try {
    const stats = await lstat(path, { bigint: true });
    if (!stats.isFile()) return undefined;
    return {
      size: Number(stats.size),
      modified: Number(stats.mtimeMs),
      links: Number(stats.nlink),
      trusted: isTrusted({ uid: Number(stats.uid), mode: Number(stats.mode) }),
      changedNs: stats.ctimeNs,
      inode: stats.ino,
    };
  } catch {
    return undefined;
  }
}

/** Whether the first `size` bytes of a file have the digest, hashed in this thread. */
export async function hasBytesOf(
  digest: Digest,
  path: string,
  size: number,
  signal = new AbortController().signal,
): Promise<boolean> {
  const hasher = hasherFor(digest);
  for await (const chunk of fileChunks(path, 0, size, signal)) hasher.update(chunk);
  return hasher.digest("hex") === digestHex(digest);
}

/** `hasBytesOf`, and false where the disk does not give the bytes back: that is as good as other bytes. */
export const givesBytesOf = (...args: Parameters<typeof hasBytesOf>): Promise<boolean> =>
  hasBytesOf(...args).catch((error: unknown) => {
    if (errno(error) === "EIO") return false;
    throw error;
  });
