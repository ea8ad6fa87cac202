import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { pieceOf } from "../../../../src/transfer/download/flight.ts";
import { cutIntoPieces, takePiece } from "../../../../src/transfer/download/pieces.ts";
import { betterCost, leastPiece } from "../../../../src/transfer/download/range-cost.ts";

const MiB = 1024 * 1024;
const sizesOf = (size: number, connections: number): number[] =>
  cutIntoPieces([{ start: 0, end: size }], size, connections).map(({ start, end }) => end - start);

describe("pieces of a blob", () => {
  test("are small at its beginning and its end, and large between", () => {
    const sizes = sizesOf(4096 * MiB, 8);
    expect(sizes[0]).toBe(8 * MiB);
    expect(sizes[7]).toBe(8 * MiB);
    expect(Math.max(...sizes)).toBe(64 * MiB);
    expect(Math.max(...sizes.slice(-8))).toBe(8 * MiB);
    // What is on its way beside the first piece is never more than what is there already.
    let there = 0;
    for (const size of sizes) {
      if (there >= 128 * MiB) expect(7 * size).toBeLessThanOrEqual(there);
      there += size;
    }
  });

  test("of a blob for one connection are large soon", () => {
    expect(sizesOf(1024 * MiB, 1).length).toBeLessThan(40);
  });

  test("are all that is missing, in order, and nothing else", () => {
    const length = fc.integer({ min: 1, max: 300 * MiB });
    const parts = fc.array(fc.tuple(length, length), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(parts, fc.integer({ min: 1, max: 32 }), (all, connections) => {
        let size = 0;
        const gaps = all.map(([there, missing]) => {
          const start = size + there;
          size = start + missing;
          return { start, end: size };
        });
        const pieces = cutIntoPieces(gaps, size, connections);
        for (const gap of gaps) {
          const inside = pieces.filter(({ start }) => start >= gap.start && start < gap.end);
          expect(inside[0]?.start).toBe(gap.start);
          expect(inside.at(-1)?.end).toBe(gap.end);
          for (const [index, { start, end }] of inside.entries()) {
            expect(end).toBeGreaterThan(start);
            expect(end - start).toBeLessThanOrEqual(64 * MiB);
            if (index > 0) expect(start).toBe(inside[index - 1]?.end ?? -1);
          }
        }
      }),
    );
  });
});

describe("taking pieces", () => {
  test("joins what follows without a gap, and leaves nothing out", () => {
    const length = fc.integer({ min: 1, max: 100 * MiB });
    const parts = fc.array(fc.tuple(fc.nat(2), length), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(parts, fc.integer({ min: 0, max: 400 * MiB }), (all, least) => {
        let end = 0;
        const pieces = all.map(([gap, size]) => {
          const start = end + gap * MiB;
          end = start + size;
          return pieceOf({ start, end });
        });
        const expected = pieces.reduce((sum, piece) => sum + piece.end - piece.start, 0);
        let bytes = 0;
        let before = 0;
        for (let one = takePiece(pieces, least); one; one = takePiece(pieces, least)) {
          expect(one.start).toBeGreaterThanOrEqual(before);
          const large = one.end - one.start >= least;
          expect(large || pieces[0] === undefined || pieces[0].start > one.end).toBeTrue();
          bytes += one.end - one.start;
          before = one.end;
        }
        expect(bytes).toBe(expected);
      }),
    );
  });

  test("takes one at a time where requests cost nothing", () => {
    const pieces = cutIntoPieces([{ start: 0, end: 64 * MiB }], 64 * MiB, 8);
    expect(takePiece(pieces, 0)).toMatchObject({ start: 0, end: 8 * MiB });
    expect(takePiece([], 5)).toBeUndefined();
  });
});

describe("the least piece", () => {
  const cost = { firstByte: 2000, rate: 1000, size: 1000 * MiB };
  test("brings bytes for four times as long as its first byte takes", () => {
    expect(leastPiece(cost, cost.size)).toBe(8_000_000);
    expect(leastPiece({ ...cost, firstByte: 200 }, cost.size)).toBe(0);
    expect(leastPiece(undefined, cost.size)).toBe(0);
  });

  test("is small for a blob that is read soon", () => {
    expect(leastPiece(cost, cost.size / 2)).toBe(4_000_000);
    expect(leastPiece(cost, cost.size / 20)).toBe(0);
  });

  test("follows the cheaper of two requests", () => {
    expect(betterCost(undefined, cost)).toBe(cost);
    const cheap = { ...cost, firstByte: 20 };
    expect(betterCost(cost, cheap)).toBe(cheap);
    expect(betterCost(cheap, cost)).toBe(cheap);
    // A larger blob takes longer to read: that is not a worse request.
    const larger = { firstByte: 3000, rate: 500, size: 2 * cost.size };
    expect(betterCost(cost, larger)).toBe(larger);
  });
});
