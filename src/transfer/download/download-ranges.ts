import type { LimitFunction } from "p-limit";
import { OcibundleError } from "../../errors.ts";
import type { ByteRange } from "../../oci/content.ts";
import { rangeRefused, refusalOf } from "../../registry/refusal.ts";
import type { BlobAnswer } from "../../registry/types.ts";
import type { EmitEvent } from "../events.ts";
import { Flight, type Piece, cutIntoPieces, takePiece } from "./flight.ts";
import type { PartialFile } from "./partial-file.ts";
import {
  type RetryCounter,
  retryCounter,
  type RetryCounterOptions,
} from "../../retry/retry-counter.ts";
import { betterCost, leastPiece, type RangeCost, slowFirstByte } from "./range-cost.ts";
import { judgeRange, type Pace } from "./slow-ranges.ts";

/** Asks for bytes of a blob, or for all of it; see {@link BlobAnswer}. */
export type OpenRange = (range: ByteRange | undefined, signal: AbortSignal) => Promise<BlobAnswer>;

/** What is known of how a registry serves ranges; kept from blob to blob. */
export interface RangeSupport {
  /** False once it ignored or refused one. */
  ranged: boolean;
  /** What the cheapest of its latest requests cost. */
  cost?: RangeCost;
}

export interface FetchOptions extends RetryCounterOptions {
  signal: AbortSignal;
  /** What the blob is called in errors. */
  label: string;
  /** The one limit for the connections of all blobs. */
  limit: LimitFunction;
  /** Connections for this blob at most. */
  atOnce: number;
  support: RangeSupport;
  emit: EmitEvent;
  pace: Pace;
}

/** Less than this between two failures is no progress: a server may give a few bytes each time. */
const progressBytes = 64 * 1024;

/** After failures in a row a silence is taken for the end later, by up to this factor. */
const mostPatience = 4;

/** A request that failed before its first byte has been tried several times by the client already. */
const unansweredWeight = 3;

/**
 * Brings all that is missing of a blob into its file, in ranges at once where the registry serves
 * them. What fails is asked for again; what is far slower than its siblings is asked for a second
 * time, and the faster wins. Throws the failure that did not pass, or that of the file.
 */
export async function fetchMissing(
  open: OpenRange,
  file: PartialFile,
  size: number,
  options: FetchOptions,
): Promise<void> {
  const fetcher = new RangeFetcher(open, file, size, options);
  await fetcher.run();
}

class RangeFetcher {
  private readonly open: OpenRange;
  private readonly file: PartialFile;
  private readonly size: number;
  private readonly options: FetchOptions;
  /** Aborted by the caller, by the first final failure, and at the end. */
  private readonly stop = new AbortController();
  private readonly ended = Promise.withResolvers<void>();
  private readonly flights = new Set<Flight>();
  private pending: Piece[] = [];
  /** Places asked of the shared limit and not yet got. */
  private queued = 0;
  private closed = false;
  /** Whether an answer has shown that ranges are served. */
  private confirmed = false;
  /** Until then one request runs alone: how fast its bytes come tells how the rest is cut. */
  private aloneUntil = 0;
  private failure: { error: unknown } | undefined;
  private readonly counter: RetryCounter;
  private failedAt = 0;
  private bytesAtFailure = 0;
  private rates: number[] = [];

  constructor(open: OpenRange, file: PartialFile, size: number, options: FetchOptions) {
    this.open = open;
    this.file = file;
    this.size = size;
    this.options = options;
    this.counter = retryCounter(options);
    this.bytesAtFailure = file.written.bytes;
  }

  async run(): Promise<void> {
    const { signal, pace } = this.options;
    signal.throwIfAborted();
    const interrupt = () => this.fail(signal.reason);
    signal.addEventListener("abort", interrupt, { once: true });
    const ticker = setInterval(() => this.look(), Math.max(20, pace.silent / 8));
    try {
      this.pending = this.options.support.ranged ? this.pieces() : [this.whole()];
      this.pump();
      await this.ended.promise;
    } finally {
      clearInterval(ticker);
      signal.removeEventListener("abort", interrupt);
    }
  }

  private whole = (): Piece => ({ start: 0, end: this.size, flights: new Set() });

  private pieces(): Piece[] {
    const gaps = this.file.missing(this.whole());
    return cutIntoPieces(gaps, this.size, this.options.atOnce);
  }

  /** Starts what can be started, and notices the end. */
  private pump(): void {
    if (this.closed) return;
    const { support, atOnce, limit } = this.options;
    const complete = this.isComplete();
    if (this.flights.size === 0) {
      if (this.failure !== undefined || complete) return this.close();
      // What is left was refused in ranges.
      if (this.pending.length === 0) {
        this.pending = support.ranged ? this.pieces() : [this.whole()];
      }
    }
    if (this.failure !== undefined || complete) return;
    const work = this.pending.length + this.slowPieces().length;
    const together = this.confirmed && performance.now() >= this.aloneUntil;
    const most = support.ranged && together ? atOnce : 1;
    const free = Math.min(most - this.flights.size, work) - this.queued;
    for (let more = 0; more < free; more += 1) {
      this.queued += 1;
      void limit(() => this.fillSlot());
    }
  }

  private close(): void {
    this.closed = true;
    if (this.failure === undefined) this.ended.resolve();
    else this.ended.reject(this.failure.error);
  }

  private slowPieces(): Piece[] {
    if (!this.options.support.ranged) return [];
    const slow = [...this.flights].filter((flight) => flight.slow).map(({ piece }) => piece);
    // Where every byte has arrived it is the disk that is slow, and nothing is left to ask for.
    return slow.filter((piece) => piece.flights.size === 1 && this.file.missing(piece).length > 0);
  }

  private isComplete = (): boolean => this.file.missing(this.whole()).length === 0;

  /** Has a place among the connections: takes the most urgent piece. */
  private async fillSlot(): Promise<void> {
    this.queued -= 1;
    if (this.closed || this.failure !== undefined) return;
    const least = leastPiece(this.options.support.cost, this.size);
    const piece = this.slowPieces()[0] ?? takePiece(this.pending, least);
    if (piece === undefined) return;
    const flight = new Flight(piece, this.stop.signal);
    this.flights.add(flight);
    try {
      await this.fly(flight);
    } catch (error) {
      await this.recover(flight, error);
    } finally {
      this.land(flight);
      this.pump();
    }
  }

  private land(flight: Flight): void {
    flight.end();
    this.flights.delete(flight);
    this.aloneUntil = 0;
    const { support } = this.options;
    const cost = flight.costOf(this.size);
    if (cost !== undefined) support.cost = betterCost(support.cost, cost);
    const { piece } = flight;
    if (this.file.missing(piece).length === 0) {
      for (const other of piece.flights) other.supersede();
    } else if (piece.flights.size === 0 && this.options.support.ranged) {
      this.pending.unshift(piece);
    }
  }

  /** One request, from its making to its last byte. */
  private async fly(flight: Flight): Promise<void> {
    const { piece } = flight;
    const { support } = this.options;
    const ranged = support.ranged;
    const start = this.file.missing(piece)[0]?.start;
    if (start === undefined) return;
    const wanted = ranged && !(start === 0 && piece.end === this.size);
    const asked = { start: wanted ? start : 0, end: piece.end };
    flight.ranged = wanted;
    const answer = await this.open(wanted ? asked : undefined, flight.signal);
    const { range } = answer;
    const fits = range.start === asked.start && range.end === asked.end;
    if (!fits) {
      const isWhole = range.start === 0 && range.end === this.size;
      this.noRanges(isWhole ? "ignores ranges" : "answers with another range");
      if (!isWhole || this.flights.size > 1) {
        await answer.body.cancel().catch(() => undefined);
        return;
      }
      // The whole blob comes already: this is the one stream then.
      this.pending = [];
      flight.piece.start = 0;
      flight.piece.end = this.size;
    }
    const now = performance.now();
    const waited = now - flight.startedAt;
    if (!this.confirmed && waited > slowFirstByte) this.aloneUntil = now + waited;
    this.confirmed = true;
    this.pump();
    await flight.read({ range, body: answer.body }, this.file);
    this.rates = [...this.rates.slice(-15), flight.averageRate()];
  }

  private noRanges(reason: string): void {
    if (!this.options.support.ranged) return;
    this.options.support.ranged = false;
    this.pending = [];
    const message = `${this.options.label}: the registry ${reason}; it is fetched in one stream`;
    this.options.emit({ type: "detail", message });
  }

  /** What a failed flight means: nothing, one stream in place of ranges, another try, or the end. */
  private async recover(flight: Flight, error: unknown): Promise<void> {
    if (flight.superseded || this.failure !== undefined) return;
    if (!(error instanceof OcibundleError) || error.code !== "network") return this.fail(error);
    const status = refusalOf(error)?.status;
    if (status !== undefined && rangeRefused.has(status)) {
      // Several may be refused at once: each asked for a range, and none for the whole blob.
      if (!flight.ranged) return this.fail(error);
      return this.noRanges(`refuses ranges (${status})`);
    }
    const { bytes } = this.file.written;
    if (bytes - this.bytesAtFailure >= progressBytes) this.counter.reset();
    // Connections that break together are one failure.
    if (this.counter.failures === 0 || flight.startedAt >= this.failedAt) {
      this.counter.count(flight.answered ? 1 : unansweredWeight);
      this.failedAt = performance.now();
      this.bytesAtFailure = bytes;
    }
    try {
      await this.counter.wait(error, this.stop.signal);
    } catch (final) {
      // The last resort where only ranges fail: what the next run would go on with would fail as well.
      if (status === 500 && flight.ranged && !this.stop.signal.aborted) {
        this.counter.reset();
        return this.noRanges("answers 500 to a range");
      }
      this.fail(final);
    }
  }

  private fail(error: unknown): void {
    this.failure ??= { error };
    this.stop.abort(error);
    this.pump();
  }

  /** Finds the requests that are stuck or far behind. */
  private look(): void {
    const { pace, support } = this.options;
    const now = performance.now();
    for (const flight of this.flights) flight.measure(now);
    for (const flight of this.flights) {
      const others = [...this.flights].filter((other) => other !== flight && other.answered);
      const rates = [...others.map(({ rate }) => rate), ...this.rates];
      const patient = {
        ...pace,
        silent: flight.answered
          ? pace.silent
          : Math.max(pace.silent, 3 * (support.cost?.firstByte ?? 0)),
        dead: pace.dead * Math.min(2 ** this.counter.failures, mostPatience),
      };
      const verdict = judgeRange(flight.seenAt(now), rates, patient);
      flight.slow = verdict !== "well";
      // One stream is not cut here: it would begin at the first byte again.
      if (verdict === "dead" && flight.answered && support.ranged)
        flight.giveUp(this.options.label);
      const faster = [...flight.piece.flights].some(
        (other) => other !== flight && other.position > flight.position,
      );
      if (flight.slow && faster) flight.supersede();
    }
    this.pump();
  }
}
