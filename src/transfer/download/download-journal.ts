import { type BigIntStats, closeSync, renameSync, writeSync } from "node:fs";
import { lstat, rm } from "node:fs/promises";
import * as v from "valibot";
import type { ByteRange } from "../../oci/content.ts";
import { type Descriptor, SizeSchema } from "../../oci/descriptor.ts";
import { DigestSchema } from "../../oci/digest.ts";
import { readRecord } from "../../store/cache/record-file.ts";
import { privateMode, replaceFileSync, writeAllSync } from "../../runtime/own-file.ts";

/** Raised when the journal's meaning changes: an older one is thrown away then. */
const journalVersion = 1;

/** More ranges than connections leave behind, and still a small file. */
const mostRanges = 4096;
const mostBytes = 1024 * 1024;

const JournalSchema = v.object({
  version: v.literal(journalVersion),
  digest: DigestSchema,
  size: SizeSchema,
  /** The partial file's inode, as text: a journal says nothing about another file under that name. */
  inode: v.string(),
  /** Bytes that were written, `[start, end)`, in order. */
  written: v.pipe(v.array(v.tuple([SizeSchema, SizeSchema])), v.maxLength(mostRanges)),
});

/** The two files of an unfinished download. */
export interface JournalPlace {
  /** The file that the blob grows in. */
  partial: string;
  journal: string;
}

/**
 * What a former run wrote of a blob, or undefined when nothing is known for certain: no journal, one
 * of another blob, another version or another file, one that another user can have written, or one that
 * claims what can't be. `stats` are those of the partial file where it is open already.
 */
export async function readJournal(
  { partial, journal }: JournalPlace,
  { digest, size }: Descriptor,
  stats?: BigIntStats,
): Promise<ByteRange[] | undefined> {
  try {
    const told = await readRecord(journal, JournalSchema, mostBytes);
    if (told?.digest !== digest || told.size !== size) return undefined;
    const file = stats ?? (await lstat(partial, { bigint: true }));
    if (!file.isFile() || file.size !== BigInt(size)) return undefined;
    if (file.ino.toString() !== told.inode) return undefined;
    let before = 0;
    for (const [start, end] of told.written) {
      if (start < before || end <= start || end > size) return undefined;
      before = end;
    }
    return told.written.map(([start, end]) => ({ start, end }));
  } catch {
    // No partial file: nothing to go on from.
    return undefined;
  }
}

/** What one write puts into a file whole or not at all, whenever the process is killed: a page. */
const pageBytes = 4096;

/** The journal of one download while it runs. */
export interface JournalWriter {
  /**
   * Notes what is written, in the time of a system call: in that of a promise much more would be.
   * Throws errno errors.
   */
  write(written: readonly ByteRange[]): void;
  close(): void;
}

/** A journal for a blob whose partial file has that inode. Nothing is on disk before the first `write`. */
export function journalWriter(
  { journal }: JournalPlace,
  { digest, size }: Descriptor,
  inode: bigint,
): JournalWriter {
  let file: number | undefined;
  let length = 0;
  const close = (): void => {
    if (file !== undefined) closeSync(file);
    file = undefined;
  };
  return {
    write(written) {
      const document: v.InferInput<typeof JournalSchema> = {
        version: journalVersion,
        digest,
        size,
        inode: inode.toString(),
        written: written.slice(0, mostRanges).map(({ start, end }) => [start, end]),
      };
      // Spaces where the former one was longer.
      const text = JSON.stringify(document).padEnd(file === undefined ? 0 : length);
      if (file !== undefined && text.length <= pageBytes) {
        length = text.length;
        writeSync(file, text, 0);
        return;
      }
      close();
      const next = replaceFileSync(`${journal}.new`, privateMode);
      try {
        writeAllSync(next, text);
        renameSync(`${journal}.new`, journal);
      } catch (error) {
        closeSync(next);
        throw error;
      }
      if (text.length > pageBytes) return closeSync(next);
      length = text.length;
      file = next;
    },
    close,
  };
}

/** Removes the journal of a finished download; it need not exist. */
export async function removeJournal({ journal }: JournalPlace): Promise<void> {
  await rm(journal, { force: true });
  await rm(`${journal}.new`, { force: true });
}

/** Removes what a blob grew in, and what was noted of it. */
export async function removeGrown(place: JournalPlace): Promise<void> {
  await removeJournal(place);
  await rm(place.partial, { force: true });
}
