import type { Descriptor } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import { type BlobFile, type givesBytesOf, readEntry, statBlob, writeEntry } from "./entry.ts";
import type { RecordTemp } from "./record-file.ts";

/** What a blob is found by: its digest, and its size in bytes. */
export type BlobAddress = Pick<Descriptor, "digest" | "size">;

/** Where blobs and what is recorded of them are. */
interface LookupOptions {
  blobPath(digest: Digest): string;
  recordPath(digest: Digest): string;
  recordTemp: RecordTemp;
  isReadOnly: boolean;
  /** Removes a blob and its record. */
  remove(digest: Digest): Promise<void>;
  /** Whether a file has the bytes that its name means. */
  gives: typeof givesBytesOf;
}

/**
 * Which blobs of a cache are fit for use: those whose files are as recorded, and those whose bytes were hashed.
 * See `find`, `confirm` and `removeDamaged` of `Cache`.
 */
export function openLookup({
  blobPath,
  recordPath,
  recordTemp,
  isReadOnly,
  remove,
  gives,
}: LookupOptions) {
  const removeDamaged = async (digest: Digest, modified: number): Promise<boolean> => {
    if (isReadOnly) return false;
    try {
      if ((await statBlob(blobPath(digest)))?.modified !== modified) return false;
      await remove(digest);
      return true;
    } catch {
      return false;
    }
  };

  const confirm = async ({ digest, size }: BlobAddress, modified: number): Promise<void> => {
    const entry = await readEntry(recordPath(digest), digest);
    if (isReadOnly || (entry?.modified === modified && entry.size === size)) return;
    const checked = { names: [], origins: [], ...entry, digest, size, modified };
    // Without its record the blob is hashed again at its next use.
    await writeEntry(recordTemp, recordPath(digest), checked).catch(() => undefined);
  };

  /** Files of other users that this process has read and found to be right, as they were then. */
  const read = new Map<string, BlobFile>();

  /** Nothing that another user wrote about a blob is believed, nor a time that its owner can set. */
  const findForeign = async (
    { digest, size }: BlobAddress,
    path: string,
    file: BlobFile,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> => {
    const before = read.get(path);
    const isRead = before?.changedNs === file.changedNs && before.inode === file.inode;
    if (file.size !== size) return undefined;
    if (isRead || (await gives(digest, path, size, signal))) {
      read.set(path, file);
      return path;
    }
    await removeDamaged(digest, file.modified);
    return undefined;
  };

  const find = async (blob: BlobAddress, signal?: AbortSignal): Promise<string | undefined> => {
    const { digest, size } = blob;
    const path = blobPath(digest);
    const file = await statBlob(path);
    if (file === undefined) return undefined;
    if (!file.trusted) return findForeign(blob, path, file, signal);
    const entry = await readEntry(recordPath(digest), digest);
    if (entry?.modified === file.modified && entry.size === file.size) {
      // Of another size it is not what was asked for, which is no fault of the file's.
      return file.size === size ? path : undefined;
    }
    // A blob that lost its size lost its bytes; one that was only touched may be right.
    const resized = entry !== undefined && entry.size !== file.size;
    if (!resized && (await gives(digest, path, file.size, signal))) {
      await confirm({ digest, size: file.size }, file.modified);
      return file.size === size ? path : undefined;
    }
    await removeDamaged(digest, file.modified);
    return undefined;
  };

  return { find, confirm, removeDamaged };
}
