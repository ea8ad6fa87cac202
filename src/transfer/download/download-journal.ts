import { Buffer } from "node:buffer";
import { type BigIntStats, closeSync, renameSync, writeSync } from "node:fs";
import { lstat, rm } from "node:fs/promises";
import * as v from "valibot";
import type { ByteRange } from "../../oci/content.ts";
import { type Descriptor, SizeSchema } from "../../oci/descriptor.ts";
import { DigestSchema } from "../../oci/digest.ts";
import { parseDocument } from "../../oci/document.ts";
import { privateMode, replaceFileSync, writeAllSync } from "../../runtime/own-file.ts";
import { readOwnFile } from "../../runtime/trusted-file.ts";
import { rangeSet } from "./range-set.ts";

/** Raised when the journal's meaning changes: an older one is thrown away then. */
const journalVersion = 2;

/** More ranges than connections leave behind, and still a small file. */
const mostRanges = 4096;
/** A journal that has grown by more lines than this is begun anew with what they come to. */
const mostLines = 16_384;
const mostBytes = 1024 * 1024;

/** The first line. The others are the ranges that were written, in any order; they may overlap. */
const HeadSchema = v.object({
  version: v.literal(journalVersion),
  digest: DigestSchema,
  size: SizeSchema,
  /** The partial file's inode, as text: a journal says nothing about another file under that name. */
  inode: v.string(),
});

/**
 * The length of a range's line, in bytes, and that of the first line is a multiple of it. So no line lies in two
 * pages or sectors, and is there whole or not at all, whenever the process is killed or the power goes.
 */
const lineBytes = 32;
/** Of each of the two numbers in it: enough for 10^15 bytes. */
const digits = 15;

const lineOf = ({ start, end }: ByteRange): string =>
  `${String(start).padStart(digits)} ${String(end).padStart(digits)}\n`;

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
    const bytes = readOwnFile(journal, { maxBytes: mostBytes });
    const headEnd = bytes?.indexOf(0x0a) ?? -1;
    if (bytes === undefined || headEnd === -1) return undefined;
    const told = parseDocument(bytes.subarray(0, headEnd), HeadSchema, journal);
    if (told.digest !== digest || told.size !== size) return undefined;
    const file = stats ?? (await lstat(partial, { bigint: true }));
    if (!file.isFile() || file.size !== BigInt(size)) return undefined;
    if (file.ino.toString() !== told.inode) return undefined;
    const written = rangeSet();
    for (const range of rangesIn(bytes.subarray(headEnd + 1))) {
      if (range.end <= range.start || range.end > size) return undefined;
      written.add(range);
    }
    return [...written];
  } catch {
    // No journal or no partial file, or one that can't be read: nothing to go on from.
    return undefined;
  }
}

/** The ranges of a journal up to the first line that is none: what a power cut left of it may end in zeros. */
function* rangesIn(lines: Uint8Array): Generator<ByteRange> {
  for (let at = 0; at + lineBytes <= lines.length; at += lineBytes) {
    const line = String.fromCharCode(...lines.subarray(at, at + lineBytes));
    const [, start, end] = /^ *(\d+) +(\d+)\n$/.exec(line) ?? [];
    if (start === undefined || end === undefined) return;
    yield { start: Number(start), end: Number(end) };
  }
}

/**
 * The journal of one download while it runs. It is not flushed: what was written stays when the process is killed,
 * and after a power cut the digest of the bytes says whether it was right. Each function takes the time of a
 * system call or two: in that of a promise much more would be.
 */
export interface JournalWriter {
  /** Begins the journal, or begins it anew, with all that is written. Throws errno errors. */
  write(written: Iterable<ByteRange>): void;
  /** Notes a range that was written; `written` is all, this one included. Throws errno errors. */
  add(range: ByteRange, written: Iterable<ByteRange>): void;
  close(): void;
}

/** A journal for a blob whose partial file has that inode. Nothing is on disk before the first call. */
export function journalWriter(
  { journal }: JournalPlace,
  { digest, size }: Descriptor,
  inode: bigint,
): JournalWriter {
  const document: v.InferInput<typeof HeadSchema> = {
    version: journalVersion,
    digest,
    size,
    inode: inode.toString(),
  };
  const json = JSON.stringify(document);
  const headBytes = Math.ceil((json.length + 1) / lineBytes) * lineBytes;
  const head = `${json.padEnd(headBytes - 1)}\n`;
  const bytes = Buffer.alloc(lineBytes);
  let file: number | undefined;
  /** The ranges of the lines, and which line has the range that ends at a position: the next one extends it. */
  let lines: ByteRange[] = [];
  let ending = new Map<number, number>();
  const close = (): void => {
    if (file !== undefined) closeSync(file);
    file = undefined;
  };
  const write = (written: Iterable<ByteRange>): void => {
    close();
    lines = [...Iterator.from(written).take(mostRanges)].map(({ start, end }) => ({ start, end }));
    ending = new Map(lines.map(({ end }, line) => [end, line]));
    const next = replaceFileSync(`${journal}.new`, privateMode);
    try {
      writeAllSync(next, head + lines.map(lineOf).join(""));
      renameSync(`${journal}.new`, journal);
    } catch (error) {
      closeSync(next);
      throw error;
    }
    file = next;
  };
  return {
    write,
    add({ start, end }, written) {
      const line = ending.get(start) ?? lines.length;
      if (file === undefined || line === mostLines) return write(written);
      const range = { start: lines[line]?.start ?? start, end };
      // A line is not cut short: what a full disk leaves of it is written over by the next one.
      bytes.write(lineOf(range), "latin1");
      const position = headBytes + line * lineBytes;
      if (writeSync(file, bytes, 0, lineBytes, position) < lineBytes) return;
      ending.delete(start);
      ending.set(end, line);
      lines[line] = range;
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
