import type { ByteRange } from "../../oci/content.ts";
import { MiB } from "../units.ts";
import { type Piece, pieceOf } from "./flight.ts";

/** Pieces small enough to be dealt out evenly, and large enough for a request to be worth it. In bytes. */
export const pieceSizes = { smallest: 8 * MiB, largest: 64 * MiB } as const;

/**
 * Cuts what is missing of a blob of `size` bytes into pieces for `connections` at once. Hashing follows in
 * order: while pieces arrive side by side, it waits for the first of them. So pieces are small at the
 * blob's beginning, where nothing is there to be hashed yet, and at its end, where nothing arrives any more
 * while the rest is hashed. `smallest`, in bytes: of a piece that is not the last of its gap.
 */
export function cutIntoPieces(
  gaps: readonly ByteRange[],
  size: number,
  connections: number,
  smallest: number = pieceSizes.smallest,
): Piece[] {
  const pieces: Piece[] = [];
  for (const gap of gaps) {
    for (let start = gap.start; start < gap.end;) {
      const end = Math.min(gap.end, start + pieceSize(start, size, { connections, smallest }));
      pieces.push(pieceOf({ start, end }));
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
function pieceSize(
  start: number,
  size: number,
  { connections, smallest }: { connections: number; smallest: number },
): number {
  const share = Math.min(start, size - start) / (2 * connections);
  const whole = Math.ceil(share / MiB) * MiB;
  return Math.min(pieceSizes.largest, Math.max(smallest, whole));
}
