import { writeSync, writevSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ByteRange } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type JournalPlace, type JournalWriter, journalWriter } from "./download-journal.ts";
import { blockBytes } from "../../runtime/recent-bytes.ts";
import { type BlockWriter, blockWriter } from "./block-writer.ts";
import type { GrowingOptions } from "./partial-file-options.ts";
import { type RangeSet, rangeSet } from "./range-set.ts";
import { cutChunks, dropBytes } from "./chunks.ts";
import { MiB } from "../units.ts";
import { ofThisThread } from "./write-budget.ts";
import { unwritable } from "../../runtime/file-faults.ts";

/** Of less, nothing is noted: it is sooner fetched again than noted. In bytes. */
const journalBytes = MiB;

/** A shorter range is noted together with others: it would be a line of the journal for a few bytes. */
const leastNoted = 4096;

/** How long pieces are written in a row before others get their turn, in milliseconds. */
const mostBlocked = 8;

/** After so many bytes the disk is set to work, so that the flush at the end has little left to wait for. */
const flushBytes = 128 * MiB;

/** A blob's file while it grows: each byte is written once, whoever brings it. */
export interface PartialFile {
  /** Bytes that a former run had written. */
  readonly resumed: number;
  readonly written: Pick<RangeSet, "bytes">;
  /** What is best written at once, in bytes, from a multiple of it on; undefined where it makes no difference. */
  readonly blockBytes?: number | undefined;
  /** The parts of a range that nobody has brought yet. */
  missing(range: ByteRange): ByteRange[];
  /**
   * Writes chunks that follow one another from `position` on, except for what another has brought
   * already; where recent blocks are kept, perhaps only later. Throws as `unwritable`: mostly `system`.
   */
  write(position: number, chunks: readonly Uint8Array[]): Promise<void>;
  /** Notes what is there for another run, and closes the file. */
  close(): Promise<void>;
}

/** Of pieces below this size many are written in a row: to ask for each costs more than the write. In bytes. */
export const shortPiece = 64 * 1024;

/** `length` bytes of a chunk from `offset` on, which belong at `position` in the file. */
export interface Piece {
  position: number;
  chunk: Uint8Array;
  offset: number;
  length: number;
}

/** One that others write to as well, and whose bytes may turn out to be wrong. */
export interface AssemblyFile extends PartialFile {
  readonly written: RangeSet;
  /** Writes short pieces one after another, as `write` does: each is written when the next one is asked for. */
  writePieces(pieces: Iterable<Piece>): Promise<void>;
  /** Bytes that another has written to the file. Throws as `unwritable`. */
  note(range: ByteRange): void;
  /** Bytes that are wrong: they are missing from now on. */
  forget(ranges: Iterable<ByteRange>): void;
  /** Resolves when all that was handed to `write` is in the file. Throws what `write` throws. */
  drain(): Promise<void>;
}

/** The file of a blob, or of what is put together from parts, with its journal. */
export class GrowingFile implements AssemblyFile {
  readonly resumed: number;
  readonly written: RangeSet;
  readonly blockBytes: number | undefined;
  private readonly blocks: BlockWriter | undefined;
  /** What was written and what is being written. */
  private readonly claimed: RangeSet;
  private readonly handle: FileHandle;
  private readonly journalWriter: JournalWriter;
  private readonly place: JournalPlace;
  private readonly descriptor: Descriptor;
  private readonly options: GrowingOptions;
  private journaledBytes: number;
  /** Bytes of ranges that are too short to be noted one by one. */
  private unnoted = 0;
  private flushedBytes: number;
  private flushing: Promise<void> | undefined;
  private flushFailure: unknown;

  constructor(
    handle: FileHandle,
    inode: bigint,
    place: JournalPlace,
    descriptor: Descriptor,
    options: GrowingOptions,
  ) {
    this.handle = handle;
    this.journalWriter = journalWriter(place, descriptor, inode);
    this.place = place;
    this.descriptor = descriptor;
    this.options = options;
    const { recent } = options;
    this.blockBytes = recent && blockBytes;
    this.blocks =
      recent &&
      blockWriter(handle.fd, recent, {
        writeThrough: (at, parts) => this.writeAll(at, parts),
        onWritten: (range) => this.add(range),
      });
    this.written = rangeSet(options.known);
    this.claimed = rangeSet(options.known);
    this.resumed = options.resumed ? this.written.bytes : 0;
    this.journaledBytes = this.resumed;
    this.flushedBytes = this.written.bytes;
    if (this.resumed > 0) this.tell(this.resumed, true);
  }

  missing(range: ByteRange): ByteRange[] {
    return this.claimed.missing(range);
  }

  async write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    const end = chunks.reduce((sum, chunk) => sum + chunk.length, position);
    const gaps = this.claimed.missing({ start: position, end });
    for (const gap of gaps) this.claimed.add(gap);
    for (const gap of gaps) {
      const parts = cutChunks(chunks, position, gap);
      if ((await this.blocks?.write(gap, parts)) === true) continue;
      await this.writeAll(gap.start, parts);
      this.add(gap);
    }
    this.flushNowAndThen();
  }

  async writePieces(pieces: Iterable<Piece>): Promise<void> {
    let untold = 0;
    let began = performance.now();
    for (const piece of pieces) {
      untold += this.writePiece(piece);
      if (performance.now() - began < mostBlocked) continue;
      this.tell(untold);
      untold = 0;
      await nextTurn();
      began = performance.now();
    }
    if (untold > 0) this.tell(untold);
    this.flushNowAndThen();
  }

  /** Answers how many bytes were new. */
  private writePiece({ position, chunk, offset, length }: Piece): number {
    let bytes = 0;
    for (const gap of this.claimed.missing({ start: position, end: position + length })) {
      this.claimed.add(gap);
      try {
        for (let at = gap.start; at < gap.end;) {
          const from = offset + at - position;
          at += writeSync(this.handle.fd, chunk, from, gap.end - at, at);
        }
      } catch (error) {
        throw unwritable(this.place.partial, error);
      }
      this.written.add(gap);
      this.journal(gap);
      bytes += gap.end - gap.start;
    }
    return bytes;
  }

  private add(range: ByteRange): void {
    this.written.add(range);
    this.journal(range);
    this.tell(range.end - range.start);
  }

  async drain(): Promise<void> {
    await this.blocks?.drain();
  }

  note(range: ByteRange): void {
    this.claimed.add(range);
    this.written.add(range);
    this.journal(range);
    this.flushNowAndThen();
  }

  forget(ranges: Iterable<ByteRange>): void {
    const before = this.written.bytes;
    for (const range of ranges) {
      this.claimed.remove(range);
      this.written.remove(range);
    }
    // The journal must not go on saying that they are there. It is written once, since there can be many.
    if (this.written.bytes < before) this.journalAnew();
  }

  async close(): Promise<void> {
    try {
      await this.blocks?.close();
      this.keep();
      await this.flushing;
      if (this.flushFailure !== undefined) throw unwritable(this.place.partial, this.flushFailure);
    } finally {
      this.journalWriter.close();
      await this.handle.close();
    }
  }

  /** Notes what was too little to be noted yet; not of a small blob that is whole. */
  private keep(): void {
    const { bytes } = this.written;
    const isNoted = bytes === this.journaledBytes && this.unnoted === 0;
    if (isNoted || bytes === this.descriptor.size) return;
    try {
      this.journalAnew();
    } catch {
      // The former journal stays. What ended the download is the news, not this.
    }
  }

  private tell(bytes: number, resumed = false): void {
    if (resumed) this.options.onBytes?.(bytes, true);
    else this.options.onBytes?.(bytes);
    this.options.onFront?.(this.written.front);
  }

  private async writeAll(position: number, chunks: Uint8Array[]): Promise<void> {
    try {
      while (chunks.length > 0) {
        const bytesWritten = ofThisThread.allows(performance.now())
          ? this.writeNow(chunks, position)
          : (await this.handle.writev(chunks, position)).bytesWritten;
        position += bytesWritten;
        chunks = dropBytes(chunks, bytesWritten);
      }
    } catch (error) {
      throw unwritable(this.place.partial, error);
    }
  }

  private writeNow(chunks: readonly Uint8Array[], position: number): number {
    const before = performance.now();
    const bytes = writevSync(this.handle.fd, chunks, position);
    ofThisThread.spend(before, performance.now());
    return bytes;
  }

  private flushNowAndThen(): void {
    if (this.flushFailure !== undefined) throw unwritable(this.place.partial, this.flushFailure);
    const { bytes } = this.written;
    if (this.flushing !== undefined || bytes - this.flushedBytes < flushBytes) return;
    this.flushedBytes = bytes;
    this.flushing = this.flush();
  }

  /** A failure is told by the next write or the end: the disk tells it once only. */
  private async flush(): Promise<void> {
    try {
      await this.handle.datasync();
    } catch (error) {
      this.flushFailure = error;
    }
    this.flushing = undefined;
  }

  /** Notes a range that is written now. */
  private journal(range: ByteRange): void {
    if (this.written.bytes < journalBytes && this.journaledBytes === 0) return;
    const bytes = range.end - range.start;
    if (bytes < leastNoted) {
      this.unnoted += bytes;
      if (this.unnoted >= journalBytes) this.journalAnew();
      return;
    }
    this.toJournal((writer) => writer.add(range, this.written));
  }

  /** Notes all that is written. */
  private journalAnew(): void {
    this.unnoted = 0;
    this.toJournal((writer) => writer.write(this.written));
  }

  private toJournal(note: (writer: JournalWriter) => void): void {
    try {
      note(this.journalWriter);
    } catch (error) {
      throw unwritable(this.place.journal, error);
    }
    this.journaledBytes = this.written.bytes;
  }
}
