import { OcibundleError } from "../../errors.ts";
import type { ByteRange } from "../../oci/content.ts";
import type { BlobAnswer } from "../../registry/types.ts";
import { releaseBytes } from "../../runtime/release-bytes.ts";
import type { PartialFile } from "./partial-file.ts";
import type { RangeCost } from "./range-cost.ts";
import type { RangeInFlight } from "./slow-ranges.ts";
import { MiB } from "../units.ts";

/** A part of a blob that is asked for at once. */
export interface Piece extends ByteRange {
  /** The requests for it: two when the first is slow. */
  flights: Set<Flight>;
}

/** Pieces small enough to be dealt out evenly, and large enough for a request to be worth it. In bytes. */
const pieceSizes = { smallest: 8 * MiB, largest: 64 * MiB } as const;

/** What is gathered before it is written: more is lost to a kill, less costs more system calls. In bytes. */
const gatherBytes = MiB / 16;
/** What comes slowly is written this often, in milliseconds, so that progress is seen and kept. */
const gatherMilliseconds = 300;

/**
 * Cuts what is missing of a blob of `size` bytes into pieces for `connections` at once. Hashing follows in
 * order: while pieces arrive side by side, it waits for the first of them. So pieces are small at the
 * blob's beginning, where nothing is there to be hashed yet, and at its end, where nothing arrives any more
 * while the rest is hashed.
 */
export function cutIntoPieces(
  gaps: readonly ByteRange[],
  size: number,
  connections: number,
): Piece[] {
  const pieces: Piece[] = [];
  for (const gap of gaps) {
    for (let start = gap.start; start < gap.end;) {
      const end = Math.min(gap.end, start + pieceSize(start, size, connections));
      pieces.push({ start, end, flights: new Set() });
      start = end;
    }
  }
  return pieces;
}

/**
 * Takes the first of the pieces, joined with those that follow it without a gap until it has `least`
 * bytes; all of them where less than half of that would be left.
 */
export function takePiece(pieces: Piece[], least: number): Piece | undefined {
  const first = pieces.shift();
  if (first === undefined) return undefined;
  const rest = pieces.reduce((sum, piece) => sum + piece.end - piece.start, 0);
  const wanted = rest + first.end - first.start < least * 1.5 ? Infinity : least;
  while (first.end - first.start < wanted) {
    const [next] = pieces;
    if (next === undefined || next.start !== first.end || next.flights.size > 0) break;
    first.end = next.end;
    pieces.shift();
  }
  return first;
}

/** All pieces on their way are half of what is nearer: all that is in front of them, or all behind. */
function pieceSize(start: number, size: number, connections: number): number {
  const share = Math.min(start, size - start) / (2 * connections);
  const whole = Math.ceil(share / MiB) * MiB;
  return Math.min(pieceSizes.largest, Math.max(pieceSizes.smallest, whole));
}

/** One request for a piece, and what is seen of it. */
export class Flight {
  readonly piece: Piece;
  readonly startedAt = performance.now();
  readonly signal: AbortSignal;
  /** Where in the blob its next byte belongs. */
  position: number;
  /** Bytes per millisecond, of late. */
  rate = 0;
  slow = false;
  /** Whether another request has its bytes: its end is no failure. */
  superseded = false;
  answered = false;
  /** Whether the request asks for a range, and not for the whole blob. */
  ranged = false;
  private readonly own = new AbortController();
  private bytes = 0;
  private lastByteAt = this.startedAt;
  private firstByteAt: number | undefined;
  private measuredAt = this.startedAt;
  private measuredBytes = 0;

  constructor(piece: Piece, stop: AbortSignal) {
    this.piece = piece;
    this.position = piece.start;
    this.signal = AbortSignal.any([stop, this.own.signal]);
    piece.flights.add(this);
  }

  /** Writes the answer's bytes to their place until its end, or until another has brought the rest. */
  async read({ range, body }: BlobAnswer, file: PartialFile): Promise<void> {
    this.answered = true;
    this.position = range.start;
    this.lastByteAt = performance.now();
    const reader = body.getReader();
    let gathered: Uint8Array[] = [];
    let gatheredAt = range.start;
    let writtenAt = this.lastByteAt;
    const flush = async (): Promise<void> => {
      const chunks = gathered;
      const at = gatheredAt;
      gathered = [];
      gatheredAt = this.position;
      writtenAt = performance.now();
      if (chunks.length === 0) return;
      await file.write(at, chunks);
      for (const chunk of chunks) releaseBytes(chunk);
    };
    try {
      while (this.position < range.end) {
        const { done, value } = await reader.read();
        if (done) throw this.cutShort(range);
        // More than was asked for is left: the digest says whether the rest is right.
        const chunk = value.subarray(0, range.end - this.position);
        this.took(chunk.length);
        gathered.push(chunk);
        if (
          this.position - gatheredAt >= gatherBytes ||
          this.lastByteAt - writtenAt >= gatherMilliseconds
        ) {
          await flush();
          if (file.missing({ start: this.position, end: range.end }).length === 0) break;
        }
      }
    } finally {
      // What has arrived is kept, whatever ended it.
      await flush();
      reader.cancel().catch(() => undefined);
    }
  }

  private took(bytes: number): void {
    this.position += bytes;
    this.bytes += bytes;
    this.lastByteAt = performance.now();
    this.firstByteAt ??= this.lastByteAt;
  }

  private cutShort = ({ start, end }: ByteRange): OcibundleError =>
    new OcibundleError(
      "network",
      `the response ended after ${this.position - start} of ${end - start} bytes`,
    );

  /** Takes the rate since the last look into account. */
  measure(now: number): void {
    const milliseconds = now - this.measuredAt;
    if (milliseconds <= 0) return;
    const rate = (this.bytes - this.measuredBytes) / milliseconds;
    this.rate = this.measuredBytes === 0 ? rate : (this.rate + rate) / 2;
    this.measuredAt = now;
    this.measuredBytes = this.bytes;
  }

  seenAt(now: number): RangeInFlight {
    return {
      age: now - this.startedAt,
      silence: now - this.lastByteAt,
      rate: this.rate,
      remaining: this.piece.end - this.position,
    };
  }

  /** What the request for a part of a blob of `size` bytes cost; undefined where too little came to tell. */
  costOf(size: number): RangeCost | undefined {
    if (this.firstByteAt === undefined || this.bytes < MiB) return undefined;
    const firstByte = this.firstByteAt - this.startedAt;
    const rate = this.bytes / Math.max(1, this.lastByteAt - this.firstByteAt);
    return { firstByte, rate, size };
  }

  averageRate = (): number => this.bytes / Math.max(1, performance.now() - this.startedAt);

  supersede(): void {
    this.superseded = true;
    this.own.abort(new Error("another request has these bytes"));
  }

  giveUp(label: string): void {
    const seconds = Math.round((performance.now() - this.lastByteAt) / 1000);
    this.own.abort(new OcibundleError("network", `${label}: no data received for ${seconds} s`));
  }

  end(): void {
    this.piece.flights.delete(this);
  }
}
