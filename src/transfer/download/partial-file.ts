import type { ByteRange } from "../../oci/content.ts";
import type { RangeSet } from "./range-set.ts";

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
