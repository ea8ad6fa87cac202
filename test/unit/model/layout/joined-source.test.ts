import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { joined, type Stretch } from "../../../../src/model/layout/joined-source.ts";
import type { BlobSource, ByteRange } from "../../../../src/oci/content.ts";
import { runs } from "../../../support/property-runs.ts";

const { signal } = new AbortController();

/** A source that is read by range, as a blob of a registry, and what was asked of it. */
function remote(bytes: Uint8Array) {
  const asked: ByteRange[] = [];
  const blob: BlobSource = {
    kind: "stream",
    open(range) {
      asked.push(range);
      return Promise.resolve(new Blob([bytes.slice(range.start, range.end)]).stream());
    },
  };
  return { asked, bytes, size: bytes.length, source: () => Promise.resolve(blob) };
}

async function read(stretches: Iterable<Stretch>, start: number, end: number): Promise<Buffer> {
  const source = joined(stretches);
  if (source.kind !== "stream") throw new Error(`a source of kind ${source.kind}`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of await source.open({ start, end }, signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test("any range of any stretches has their bytes", async () => {
  const sources = [1000, 300_000, 70_000].map((size) => remote(randomBytes(size)));
  const stretch = fc
    .tuple(fc.nat(2), fc.nat(299_999), fc.oneof(fc.nat(300), fc.nat(150_000)))
    .map(([index, from, length]) => {
      const one = sources[index] ?? remote(new Uint8Array());
      const start = from % one.size;
      return { ...one, start, end: Math.min(start + length + 1, one.size) };
    });
  await fc.assert(
    fc.asyncProperty(
      fc.array(stretch, { maxLength: 30 }),
      fc.nat(),
      fc.nat(),
      async (all, a, b) => {
        const whole = Buffer.concat(all.map(({ bytes, start, end }) => bytes.subarray(start, end)));
        const [start = 0, end = 0] = [a % (whole.length + 1), b % (whole.length + 1)].toSorted(
          (x, y) => x - y,
        );
        expect((await read(all, start, end)).equals(whole.subarray(start, end))).toBe(true);
      },
    ),
    { numRuns: Math.ceil(runs.numRuns / 10) },
  );
});

/** Stretches of 50 bytes, each so many behind the one before. */
const pieces = (one: ReturnType<typeof remote>, step: number) =>
  Array.from({ length: 2000 }, (_, index): Stretch => {
    const start = (index * step) % one.size;
    return { ...one, start, end: start + 50 };
  });

describe("short stretches", () => {
  test("that follow one another in two sources by turns are read in few requests", async () => {
    const [one, other] = [remote(randomBytes(100_000)), remote(randomBytes(100_000))];
    const others = pieces(other, 50);
    const byTurns = pieces(one, 50).flatMap((piece, index) => [
      piece,
      ...others.slice(index, index + 1),
    ]);
    const all = await read(byTurns, 0, 200_000);
    expect(all.length).toBe(200_000);
    expect(all.subarray(0, 50).equals(one.bytes.subarray(0, 50))).toBe(true);
    for (const { asked } of [one, other]) {
      expect(asked.length).toBeLessThan(10);
      expect(asked.reduce((sum, { start, end }) => sum + end - start, 0)).toBe(100_000);
    }
  });

  test("of many sources by turns are read in few requests each", async () => {
    const sources = Array.from({ length: 300 }, () => remote(randomBytes(20_000)));
    const byTurns = Array.from({ length: 400 }, (_, index) =>
      sources.map((one): Stretch => ({ ...one, start: index * 50, end: (index + 1) * 50 })),
    ).flat();
    expect((await read(byTurns, 0, 6_000_000)).length).toBe(6_000_000);
    for (const { asked } of sources) expect(asked.length).toBeLessThan(10);
  });

  test("that do not follow one another are read as they are", async () => {
    const one = remote(randomBytes(100_000));
    await read(pieces(one, 999 * 50), 0, 100_000);
    expect(one.asked.every(({ start, end }) => end - start === 50)).toBe(true);
  });

  test("of a source that ends too early are what there is", async () => {
    const one = { ...remote(randomBytes(120)), size: 100_000 };
    expect((await read(pieces(one, 50).slice(0, 4), 0, 200)).equals(one.bytes)).toBe(true);
  });
});
