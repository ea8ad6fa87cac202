import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { cutIntoPieces } from "../../../../src/transfer/download/flight.ts";

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
