import { OcibundleError } from "../../errors.ts";
import type { ByteRange } from "../../oci/content.ts";
import type { BlobAnswer } from "../../registry/types.ts";
import { releaseBytes } from "../../runtime/release-bytes.ts";
import type { PartialFile } from "./partial-file.ts";
import { flightSight } from "./flight-sight.ts";
import type { HostTraffic } from "./host-traffic.ts";
import type { RangeCost } from "./range-cost.ts";
import type { RangeInFlight } from "./slow-ranges.ts";
import { cutChunks } from "./chunks.ts";
import { MiB } from "../units.ts";
import { ofThisThread } from "./write-budget.ts";

/** A part of a blob that is asked for at once. */
export interface Piece extends ByteRange {
  /** The requests for it, the oldest first: two when the first is slow, until the second has a byte. */
  flights: Set<Flight>;
  /** How often it was asked for beside a slow request: each time the next one is given longer. */
  repeated: number;
}

/** A range that nobody has asked for yet. */
export const pieceOf = ({ start, end }: ByteRange): Piece => ({
  start,
  end,
  flights: new Set(),
  repeated: 0,
});

/**
 * What is gathered before it is written, in bytes: by this thread itself, so that a kill loses little, and by others,
 * each of whose writes costs this thread about as much as one of its own.
 */
const gatherBytes = { here: MiB / 16, elsewhere: MiB / 4 } as const;
/** What came in less time than this, in milliseconds, may have lain in buffers. */
const shortestMeasure = 5;
/** What comes slowly is written this often, in milliseconds, so that progress is seen and kept. */
const gatherMilliseconds = 300;

/** One request for a piece, and what is seen of it. */
export class Flight {
  readonly piece: Piece;
  readonly startedAt = performance.now();
  readonly signal: AbortSignal;
  /** Where in the blob its next byte belongs. */
  position: number;
  slow = false;
  /** Whether another request has its bytes: its end is no failure. */
  superseded = false;
  answered = false;
  /** Whether it has ended, well or not; it may still wait for another try. */
  over = false;
  /** Whether the request asks for a range, and not for the whole blob. */
  ranged = false;
  /** Whether another request is made in its place already. */
  givesWay = false;
  /** Resolves when what is left of its answer comes sooner than the first byte of another answer would. */
  readonly nearEnd: Promise<void>;
  private readonly near = Promise.withResolvers<void>();
  private readonly own = new AbortController();
  private readonly traffic: HostTraffic;
  private readonly sight = flightSight(this.startedAt);
  /** Whether the network is waited for; else the disk is. */
  private waits = true;
  private bytes = 0;
  private lastByteAt = this.startedAt;
  private firstByteAt: number | undefined;

  constructor(piece: Piece, stop: AbortSignal, traffic: HostTraffic) {
    this.piece = piece;
    this.position = piece.start;
    this.nearEnd = this.near.promise;
    this.signal = AbortSignal.any([stop, this.own.signal]);
    this.traffic = traffic;
    piece.flights.add(this);
    traffic.flights.add(this);
  }

  /** Writes the answer's bytes to their place until its end, or until another has brought the rest. */
  async read({ range, body }: BlobAnswer, file: PartialFile): Promise<void> {
    this.answered = true;
    this.sight.answered();
    this.position = range.start;
    this.lastByteAt = performance.now();
    const reader = body.getReader();
    /** Chunks that are not written to their end yet, from `gatheredFrom` on; the first may be written in part. */
    const gathered: Uint8Array[] = [];
    let gatheredFrom = range.start;
    let gatheredAt = range.start;
    let writtenAt = this.lastByteAt;
    const flush = async (end = this.position): Promise<void> => {
      const at = gatheredAt;
      const chunks = cutChunks(gathered, gatheredFrom, { start: at, end });
      gatheredAt = end;
      writtenAt = performance.now();
      if (chunks.length === 0) return;
      this.waits = false;
      await file.write(at, chunks);
      this.waits = true;
      for (let [first] = gathered; first !== undefined; [first] = gathered) {
        if (gatheredFrom + first.length > end) break;
        gatheredFrom += first.length;
        releaseBytes(first);
        gathered.shift();
      }
    };
    try {
      while (this.position < range.end) {
        const { done, value } = await reader.read();
        if (done) throw this.cutShort(range);
        // More than was asked for is left: the digest says whether the rest is right.
        const chunk = value.subarray(0, range.end - this.position);
        this.took(chunk.length);
        if (this.millisecondsLeft(range.end) <= this.firstByteAfter()) this.near.resolve();
        gathered.push(chunk);
        const due = this.dueEnd(gatheredAt, writtenAt, file.blockBytes);
        if (due > gatheredAt) {
          await flush(due);
          if (file.missing({ start: this.position, end: range.end }).length === 0) break;
        }
      }
    } finally {
      // What has arrived is kept, whatever ended it.
      await flush();
      reader.cancel().catch(() => undefined);
    }
  }

  /** Up to where what was gathered from `gatheredAt` on is written now; the rest is when the answer ends. */
  private dueEnd(gatheredAt: number, writtenAt: number, block: number | undefined): number {
    const { position, lastByteAt } = this;
    if (lastByteAt - writtenAt >= gatherMilliseconds) return position;
    if (block !== undefined) return Math.max(gatheredAt, position - (position % block));
    const bytes = position - gatheredAt;
    const isEnough =
      bytes >= gatherBytes.elsewhere ||
      (bytes >= gatherBytes.here && ofThisThread.allows(lastByteAt));
    return isEnough ? position : gatheredAt;
  }

  /**
   * Of two requests for a piece the one that has a byte goes on alone, so that none comes twice: the second one, or
   * the first where it was only silent and is no longer.
   */
  private took(bytes: number): void {
    const isFirst = this.bytes === 0;
    if (this.sight.silence > 0) this.slow = false;
    for (const other of this.superseded ? [] : this.piece.flights) {
      const isBehind = isFirst || (this.sight.silence > 0 && other.bytes === 0);
      if (other !== this && isBehind) other.supersede();
    }
    this.position += bytes;
    this.bytes += bytes;
    this.traffic.bytes += bytes;
    this.lastByteAt = performance.now();
    this.firstByteAt ??= this.lastByteAt;
  }

  private firstByteAfter = (): number => (this.firstByteAt ?? this.lastByteAt) - this.startedAt;

  /** How long the bytes up to `end` take at the rate of those that came. */
  private millisecondsLeft(end: number): number {
    const elapsed = this.lastByteAt - (this.firstByteAt ?? this.lastByteAt);
    return ((end - this.position) * Math.max(shortestMeasure, elapsed)) / this.bytes;
  }

  private cutShort = ({ start, end }: ByteRange): OcibundleError =>
    new OcibundleError(
      "network",
      `the response ended after ${this.position - start} of ${end - start} bytes`,
    );

  /** Takes what has happened since the last look into account; see {@link flightSight}. */
  look(now: number, window: number, interval: number): void {
    const { bytes, waits, traffic } = this;
    this.sight.look({ now, bytes, waits, bytesOfAll: traffic.bytes }, window, interval);
  }

  /** As of the last look. */
  seen(): RangeInFlight {
    return { ...this.sight.seen(), remaining: this.piece.end - this.position };
  }

  /** Bytes per millisecond, of late, as of the last look. */
  rate = (): number => this.sight.seen().rate;

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

  /** Nothing is received any more. */
  finish(): void {
    this.over = true;
    this.slow = false;
  }

  end(): void {
    this.finish();
    this.piece.flights.delete(this);
    this.traffic.flights.delete(this);
  }
}
