import { writeSync, writevSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ByteRange } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type JournalPlace, journalWriter } from "./download-journal.ts";
import { type Flushes, flushesOf } from "./flushes.ts";
import { type JournalNotes, journalNotes } from "./journal-notes.ts";
import { blockBytes } from "../../runtime/recent-bytes.ts";
import { type BlockWriter, blockWriter } from "./block-writer.ts";
import type { GrowingOptions } from "./partial-file-options.ts";
import { type RangeSet, rangeSet } from "./range-set.ts";
import { cutChunks, dropBytes } from "./chunks.ts";
import { ofThisThread } from "./write-budget.ts";
import { unwritable } from "../../runtime/file-faults.ts";
import type { Piece, AssemblyFile } from "./partial-file.ts";

/** How long pieces are written in a row before others get their turn, in milliseconds. */
const mostBlocked = 8;

/** The file of a blob, or of what is put together from parts, with its journal. */
export class GrowingFile implements AssemblyFile {
  readonly resumed: number;
  readonly written: RangeSet;
  readonly blockBytes: number | undefined;
  private readonly blocks: BlockWriter | undefined;
  /** What was written and what is being written. */
  private readonly claimed: RangeSet;
  private readonly handle: FileHandle;
  private readonly path: string;
  private readonly notes: JournalNotes;
  private readonly flushes: Flushes;
  private readonly options: GrowingOptions;

  constructor(
    handle: FileHandle,
    inode: bigint,
    place: JournalPlace,
    descriptor: Descriptor,
    options: GrowingOptions,
  ) {
    this.handle = handle;
    this.path = place.partial;
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
    this.notes = journalNotes(journalWriter(place, descriptor, inode), {
      path: place.journal,
      size: descriptor.size,
      written: this.written,
      notedBytes: this.resumed,
    });
    this.flushes = flushesOf(handle, place.partial, this.written.bytes);
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
    this.flushes.at(this.written.bytes);
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
    this.flushes.at(this.written.bytes);
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
        throw unwritable(this.path, error);
      }
      this.written.add(gap);
      this.notes.add(gap);
      bytes += gap.end - gap.start;
    }
    return bytes;
  }

  private add(range: ByteRange): void {
    this.written.add(range);
    this.notes.add(range);
    this.tell(range.end - range.start);
  }

  async drain(): Promise<void> {
    await this.blocks?.drain();
  }

  note(range: ByteRange): void {
    this.claimed.add(range);
    this.written.add(range);
    this.notes.add(range);
    this.flushes.at(this.written.bytes);
  }

  forget(ranges: Iterable<ByteRange>): void {
    const before = this.written.bytes;
    for (const range of ranges) {
      this.claimed.remove(range);
      this.written.remove(range);
    }
    // The journal must not go on saying that they are there. It is written once, since there can be many.
    if (this.written.bytes < before) this.notes.addAll();
  }

  async close(): Promise<void> {
    try {
      await this.blocks?.close();
      this.notes.keep();
      await this.flushes.end();
    } finally {
      this.notes.close();
      await this.handle.close();
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
      throw unwritable(this.path, error);
    }
  }

  private writeNow(chunks: readonly Uint8Array[], position: number): number {
    const before = performance.now();
    const bytes = writevSync(this.handle.fd, chunks, position);
    ofThisThread.spend(before, performance.now());
    return bytes;
  }
}
