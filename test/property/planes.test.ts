import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { zstdCompressSync } from "node:zlib";
import { mergePlanes, planeSizes, splitPlanes } from "../../src/runtime/byte-planes.ts";
import { planeDecoder, planeEncoder } from "../../src/runtime/plane-codec.ts";
import { plainSpace, planeBlockBytes, vectorSpace } from "../../src/runtime/plane-space.ts";
import { errno } from "../../src/errors.ts";
import { fewerRuns } from "../support/property-runs.ts";

const widths = fc.constantFrom(2 as const, 4 as const);

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  // Sizes around the edges of blocks and of elements, with bytes that compress.
  fc
    .tuple(
      fc.integer({ min: -9, max: 9 }),
      fc.constantFrom(0, 262_144, planeBlockBytes),
      fc.nat(255),
    )
    .map(([more, size, step]) =>
      Uint8Array.from({ length: Math.max(0, size + more) }, (_, at) => (at * step) >> 3),
    ),
);

const chunked = (all: Uint8Array, size: number): Uint8Array[] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, at) =>
    all.subarray(at * size, (at + 1) * size),
  );

test("any bytes come back from their planes, in any chunking", () => {
  fc.assert(
    fc.property(bytes, widths, fc.integer({ min: 1, max: 200_000 }), (all, width, chunk) => {
      const frames: Uint8Array[] = [];
      const emit = (frame: Uint8Array) => frames.push(frame.slice());
      const encoder = planeEncoder({ width, emit });
      for (const some of chunked(all, chunk)) encoder.take(some);
      encoder.end();
      encoder.close();
      const stored = Buffer.concat(frames);
      expect(stored.length).toBeLessThanOrEqual(all.length + 64 + all.length / 1024);
      const decoder = planeDecoder({ width, size: all.length });
      const found: Uint8Array[] = [];
      for (const some of chunked(stored, chunk)) {
        for (const block of decoder.take(some)) found.push(block.slice());
      }
      decoder.end();
      decoder.close();
      expect(Buffer.concat(found).equals(all)).toBe(true);
    }),
    fewerRuns(0.01),
  );
});

test("planes are the bytes of the elements, wherever they lie in memory", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), widths, fc.nat(3), (all, width, shift) => {
      const block = new Uint8Array(all.length + shift).subarray(shift);
      block.set(all);
      const planes = planeSizes(all.length, width).map((size) => new Uint8Array(size));
      splitPlanes(block, planes);
      for (const [index, plane] of planes.entries()) {
        expect([...plane]).toEqual([...all].filter((_, at) => at % width === index));
      }
      block.fill(0);
      mergePlanes(planes, block);
      expect([...block]).toEqual([...all]);
    }),
    fewerRuns(0.5),
  );
});

const hasVectors = vectorSpace(2) !== undefined;

test.skipIf(!hasVectors)("vectors sort bytes as words do, whatever lies behind them", () => {
  for (const width of [2, 4] as const) {
    const vectors = vectorSpace(width);
    if (vectors === undefined) throw new Error("there are vectors for one width only");
    const words = plainSpace(width);
    const size = fc.oneof(
      { weight: 15, arbitrary: fc.integer({ min: 1, max: 300 }) },
      { weight: 1, arbitrary: fc.constant(planeBlockBytes) },
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), size, (some, count) => {
        for (const { block } of [vectors, words]) {
          for (let at = 0; at < count; at += 1) block[at] = (some[at % some.length] ?? 0) + at;
        }
        const before = vectors.block.slice(0, count);
        vectors.split(count);
        words.split(count);
        for (const [index, planeSize] of planeSizes(count, width).entries()) {
          const [one, other] = [vectors, words].map(({ planes }) =>
            planes[index]?.subarray(0, planeSize),
          );
          expect(Buffer.compare(one ?? before, other ?? before)).toBe(0);
        }
        vectors.block.fill(0);
        vectors.merge(count);
        expect(Buffer.compare(vectors.block.subarray(0, count), before)).toBe(0);
      }),
      fewerRuns(0.2),
    );
  }
});

test("no bytes make a decoder give more than it may, or fail in another way", () => {
  const frames = fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc
        .tuple(fc.nat(3000), fc.nat(255))
        .map(([size, value]) => zstdCompressSync(new Uint8Array(size).fill(value))),
      fc.constant(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd)),
    ),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(
      frames,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
      widths,
      fc.nat(5000),
      (parts, damage, width, size) => {
        const stored = Buffer.concat(parts);
        for (const [at, value] of damage) if (stored.length > 0) stored[at % stored.length] = value;
        const decoder = planeDecoder({ width, size });
        let given = 0;
        try {
          for (const some of chunked(stored, 77)) {
            for (const block of decoder.take(some)) given += block.length;
          }
          decoder.end();
          expect(given).toBe(size);
        } catch (error) {
          expect(errno(error)).toBe("ZSTD_planes");
        } finally {
          decoder.close();
        }
        expect(given).toBeLessThanOrEqual(size);
      },
    ),
    fewerRuns(0.5),
  );
});
