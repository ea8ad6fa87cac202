import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { cutIntoPieces } from "../../src/transfer/download/pieces.ts";
import { rangeSet } from "../../src/transfer/download/range-set.ts";
import { waitBeforeRetry } from "../../src/retry/backoff.ts";
import { chunkSizes, firstChunk, nextChunk } from "../../src/transfer/upload/chunk-size.ts";
import { unknownTraits } from "../../src/transfer/upload/registry-traits.ts";
import { type UploadMethod, uploadMethods } from "../../src/transfer/upload/upload-method.ts";
import { fewerRuns, runs } from "../support/property-runs.ts";

const length = 64;
const range = fc
  .tuple(fc.nat(length), fc.nat(length))
  .map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));
const nothing = () => Array.from({ length }, () => false);
const MiB = 1024 * 1024;

describe("a set of ranges", () => {
  test("knows the same bytes as a list of all of them", () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 12 }), range, (added, asked) => {
        const bytes = nothing();
        for (const { start, end } of added) bytes.fill(true, start, end);
        const set = rangeSet(added);
        expect(set.bytes).toBe(bytes.filter(Boolean).length);
        expect(set.front).toBe(bytes.includes(false) ? bytes.indexOf(false) : length);
        const missing = nothing();
        for (const { start, end } of set.missing(asked)) {
          expect(start).toBeLessThan(end);
          missing.fill(true, start, end);
        }
        const expected = bytes.map((there, at) => !there && at >= asked.start && at < asked.end);
        expect(missing).toEqual(expected);
      }),
      runs,
    );
  });

  test("knows them where it has very many, taken away in between too", () => {
    const bits = 8192;
    const piece = fc.tuple(fc.nat(bits), fc.integer({ min: 1, max: 40 }), fc.boolean());
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), fc.nat(bits), (pieces, at) => {
        const bytes = Array.from({ length: bits + 1700 }, () => false);
        const set = rangeSet();
        // Every other byte: more ranges than one block of the set has.
        for (let start = 0; start < bits; start += 2) {
          set.add({ start, end: start + 1 });
          bytes[start] = true;
        }
        for (const [start, long, isAdded] of pieces) {
          const end = start + long * (isAdded ? 1 : 40);
          if (isAdded) set.add({ start, end });
          else set.remove({ start, end });
          bytes.fill(isAdded, start, end);
        }
        const expected: { start: number; end: number }[] = [];
        for (const [index, isThere] of bytes.entries()) {
          if (!isThere) continue;
          const last = expected.at(-1);
          if (last?.end === index) last.end += 1;
          else expected.push({ start: index, end: index + 1 });
        }
        expect(set.ranges).toEqual(expected);
        expect(set.bytes).toBe(bytes.filter(Boolean).length);
        const gaps = set.missing({ start: at, end: bits });
        const missing = bytes.slice(at, bits).filter((isThere) => !isThere).length;
        expect(gaps.reduce((sum, { start, end }) => sum + end - start, 0)).toBe(missing);
      }),
      fewerRuns(0.02),
    );
  });

  test("keeps its ranges in order with gaps between them", () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 12 }), (added) => {
        let before = -1;
        for (const { start, end } of rangeSet(added).ranges) {
          expect(start).toBeGreaterThan(before);
          expect(end).toBeGreaterThan(start);
          before = end;
        }
      }),
      runs,
    );
  });
});

test("pieces are the gaps, cut, in order", () => {
  const size = fc.nat(8 * 1024 * MiB);
  fc.assert(
    fc.property(size, size, fc.integer({ min: 1, max: 64 }), (a, b, connections) => {
      const gap = { start: Math.min(a, b), end: Math.max(a, b) };
      const pieces = cutIntoPieces([gap], gap.end, connections);
      let at = gap.start;
      for (const { start, end } of pieces) {
        expect(start).toBe(at);
        expect(end - start).toBeGreaterThan(0);
        expect(end - start).toBeLessThanOrEqual(64 * MiB);
        at = end;
      }
      expect(at).toBe(gap.end);
    }),
    runs,
  );
});

test("every way of uploading is tried once, whatever was refused", () => {
  const methods: UploadMethod[] = ["put", "patch", "chunks"];
  fc.assert(
    fc.property(fc.nat(), fc.subarray(methods), (size, refused) => {
      const traits = unknownTraits();
      for (const method of refused) traits.refused.set(method, "no");
      const order = uploadMethods(size, traits);
      expect(order.toSorted()).toEqual(methods.toSorted());
      expect(order.slice(methods.length - refused.length).toSorted()).toEqual(refused.toSorted());
    }),
    runs,
  );
});

test("a chunk is within its limits and not below the registry's minimum", () => {
  const positive = fc.double({ min: 0, max: 1e12, noNaN: true });
  fc.assert(
    fc.property(
      positive,
      positive,
      fc.option(fc.nat(512 * MiB), { nil: undefined }),
      fc.integer({ min: 1, max: chunkSizes.largest }),
      (rate, milliseconds, minimum, largestChunk) => {
        const traits = { ...unknownTraits(), rate, largestChunk };
        const first = firstChunk(traits, minimum);
        for (const size of [first, nextChunk(first, milliseconds, traits, minimum)]) {
          expect(Number.isSafeInteger(size)).toBe(true);
          expect(size).toBeGreaterThanOrEqual(Math.max(chunkSizes.least, minimum ?? 0));
          const most = Math.max(chunkSizes.least, minimum ?? 0, largestChunk);
          expect(size).toBeLessThanOrEqual(most);
        }
      },
    ),
    runs,
  );
});

test("a wait is half of the longest at least, and there is an end to it", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.integer({ min: 1, max: 20 }),
      (failures, random, tries) => {
        const policy = { tries, firstWait: 500, longestWait: 20_000 };
        const wait = waitBeforeRetry(failures, random, policy);
        if (failures >= tries) expect(wait).toBeUndefined();
        else {
          expect(wait).toBeGreaterThanOrEqual(250);
          expect(wait).toBeLessThanOrEqual(20_000);
        }
      },
    ),
    runs,
  );
});
