import type { BlobAnswer } from "../../registry/types.ts";
import type { ByteRange } from "../../oci/content.ts";
import type { EmitEvent } from "../events.ts";
import { Flight, type Piece, pieceOf } from "./flight.ts";
import { cutIntoPieces, takePiece } from "./pieces.ts";
import type { ServerContact } from "../../retry/retry-counter.ts";
import { type HostTraffic, hostTraffic } from "./host-traffic.ts";
import type { PartialFile } from "./partial-file.ts";
import { betterCost, leastPiece, type RangeCost } from "./range-cost.ts";

/** Asks for bytes of a blob, or for all of it; see {@link BlobAnswer}. */
export type OpenRange = (range: ByteRange | undefined, signal: AbortSignal) => Promise<BlobAnswer>;

/** What is known of how a registry serves ranges; kept from blob to blob. */
export interface RangeSupport {
  /** False once it ignored or refused one. */
  ranged: boolean;
  /** What the cheapest of its latest requests cost. */
  cost?: RangeCost;
  readonly traffic: HostTraffic;
  readonly contact: ServerContact;
}

/** A registry that is taken to serve ranges until it does not. */
export const rangeSupport = (): RangeSupport => ({
  ranged: true,
  traffic: hostTraffic(),
  contact: {},
});

/** How one blob is cut into requests. */
export interface RangeWorkOptions {
  /** What the blob is called in errors. */
  label: string;
  /** Connections for this blob at most. */
  atOnce: number;
  /** Each gap is asked for at once, and not in pieces. */
  inOnePiece?: boolean | undefined;
  /** The smallest piece that it is cut into, in bytes, where that is not the usual one. */
  smallestPiece?: number | undefined;
  /** Learned from, and used for the next blob. */
  support: RangeSupport;
  emit: EmitEvent;
}

/** What is missing of a blob: the pieces that are requested, and those that wait. */
export interface RangeWork {
  readonly flights: ReadonlySet<Flight>;
  isComplete(): boolean;
  /** How many requests could be made now, the repetitions of slow ones included. */
  available(): number;
  /** How many of them are repetitions. */
  repetitions(): number;
  /** Makes pieces of what is missing where none wait: those that were requested in vain. */
  refill(): void;
  /** Begins a request for the most urgent piece; undefined when there is none. */
  begin(stop: AbortSignal): Flight | undefined;
  /** Ends a request; what is missing of its piece waits again. */
  end(flight: Flight): void;
  /** Lets one request bring the whole blob. */
  takeWhole(flight: Flight): void;
  /** The registry serves no ranges: the blob is fetched in one stream from now on. */
  withoutRanges(reason: string): void;
}

/** Hands out the ranges of a blob that are missing in its file. `size` in bytes. */
export function rangeWork(
  file: PartialFile,
  size: number,
  { label, atOnce, inOnePiece = false, smallestPiece, support, emit }: RangeWorkOptions,
): RangeWork {
  const whole: ByteRange = { start: 0, end: size };
  const flights = new Set<Flight>();
  const allPieces = (): Piece[] => {
    if (!support.ranged) return [pieceOf(whole)];
    const gaps = file.missing(whole);
    return inOnePiece ? gaps.map(pieceOf) : cutIntoPieces(gaps, size, atOnce, smallestPiece);
  };
  let waiting = allPieces();

  const slowPieces = (): Piece[] => {
    if (!support.ranged) return [];
    const slow = [...flights].filter((flight) => flight.slow).map(({ piece }) => piece);
    // Where every byte has arrived, the disk is slow, and nothing is left to ask for.
    return slow.filter((piece) => piece.flights.size === 1 && file.missing(piece).length > 0);
  };

  return {
    flights,
    isComplete: () => file.missing(whole).length === 0,
    available: () => waiting.length + slowPieces().length,
    repetitions: () => slowPieces().length,
    refill() {
      if (waiting.length === 0) waiting = allPieces();
    },
    begin(stop) {
      const [slow] = slowPieces();
      const piece = slow ?? takePiece(waiting, leastPiece(support.cost, size));
      if (piece === undefined) return undefined;
      if (slow !== undefined) piece.repeated += 1;
      const flight = new Flight(piece, stop, support.traffic);
      flights.add(flight);
      return flight;
    },
    end(flight) {
      flight.end();
      flights.delete(flight);
      const cost = flight.costOf(size);
      if (cost !== undefined) support.cost = betterCost(support.cost, cost);
      const { piece } = flight;
      if (file.missing(piece).length === 0) {
        for (const other of piece.flights) other.supersede();
      } else if (piece.flights.size === 0 && support.ranged) waiting.unshift(piece);
    },
    takeWhole({ piece }) {
      waiting = [];
      piece.start = 0;
      piece.end = size;
    },
    withoutRanges(reason) {
      if (!support.ranged) return;
      support.ranged = false;
      waiting = [];
      const message = `${label}: the registry ${reason}; downloading in one stream`;
      emit({ type: "detail", message });
    },
  };
}
