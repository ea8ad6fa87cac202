import { describe, expect, test } from "bun:test";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { lstat, open } from "node:fs/promises";
import { join } from "node:path";
import type { FileAssembly } from "../../../../src/model/pull/assemble-part.ts";
import { copyProven, rangesToCopy } from "../../../../src/model/pull/copy-proven.ts";
import { asItIs } from "../../../../src/model/parts/parts-artifact.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { runCopyJob } from "../../../../src/runtime/copy-job.ts";
import { runtime } from "../../../../src/runtime/current.ts";
import { PartPlaces } from "../../../../src/runtime/part-places.ts";
import { createWorkerPool, type WorkerPool } from "../../../../src/runtime/worker-pool.ts";
import { type CopyRange, fileEndedCode } from "../../../../src/runtime/worker-protocol.ts";
import { openPartialFile } from "../../../../src/transfer/download/open-partial-file.ts";
import { errorOf } from "../../../support/failure.ts";
import { noise } from "../../../support/model/parts-artifact.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const place = (start: number, end: number, position: number) => ({ start, end, position });
const seeded = (
  places: readonly ReturnType<typeof place>[],
  there: readonly ReturnType<typeof place>[],
) => ({ part: { places: PartPlaces.of(places) }, seed: { places: PartPlaces.of(there) } });

describe("what is copied of a file", () => {
  test("is one range where parts follow one another in both files", () => {
    expect(
      rangesToCopy([
        seeded([place(0, 10, 100)], [place(0, 10, 0)]),
        seeded([place(0, 5, 110)], [place(0, 5, 10)]),
        seeded([place(0, 7, 115)], [place(0, 7, 50)]),
      ]),
    ).toEqual([
      { source: 0, target: 100, length: 15 },
      { source: 50, target: 115, length: 7 },
    ]);
  });

  test("is each piece of a part, to each place that it has", () => {
    expect(
      rangesToCopy([
        seeded([place(0, 4, 20), place(2, 8, 0)], [place(0, 3, 100), place(3, 8, 200)]),
      ]),
    ).toEqual([
      { source: 102, target: 0, length: 1 },
      { source: 200, target: 1, length: 5 },
      { source: 100, target: 20, length: 3 },
      { source: 200, target: 23, length: 1 },
    ]);
  });
});

describe("ranges are copied wherever they begin and end", () => {
  const { signal } = new AbortController();
  const source = noise(3_500_000, 2);

  /** How much of a file is in the page cache, from 0 to 1; undefined where nobody knows. */
  const cachedOf = async (path: string): Promise<number | undefined> => {
    const share = await runtime.cachedShare();
    await using file = await open(path);
    return share?.(file.fd, 0, source.length);
  };

  /** What is copied goes past the page cache, where the disk takes that. */
  const written = async (path: string, isCold: boolean): Promise<void> => {
    writeFileSync(isCold ? `${path}.warm` : path, source);
    if (!isCold) return;
    writeFileSync(path, "");
    const whole = { source: 0, target: 0, length: source.length };
    await runCopyJob({ from: `${path}.warm`, to: path, ranges: [whole] });
  };

  test.each([
    ["from the page cache", false],
    ["from the disk, past the page cache", true],
  ])("%s", async (_, isCold) => {
    const directory = await temporaryDirectory();
    const [from, to] = [join(directory, "from"), join(directory, "to")];
    await written(from, isCold);
    const before = await cachedOf(from);
    const expected = new Uint8Array(6_000_000);
    writeFileSync(to, expected);
    const long = [
      { source: 11, target: 0, length: 1_200_000 },
      { source: 1_000_001, target: 2_000_003, length: 2_400_000 },
      { source: 7, target: 4_400_003, length: 1_599_997 },
    ];
    const short = [
      { source: 0, target: 1_200_000, length: 5 },
      { source: 4096, target: 1_204_224, length: 4096 },
    ];
    const pool = createWorkerPool(1);
    const expectCopied = async (ranges: readonly CopyRange[]) => {
      for (const { source: at, target, length } of ranges) {
        expected.set(source.subarray(at, at + length), target);
      }
      const bytesCopied = ranges.reduce((sum, { length }) => sum + length, 0);
      expect(await pool.copy({ from, to, ranges }, { signal })).toBe(bytesCopied);
    };
    try {
      await expectCopied(long);
      // What was read past the page cache is not in it afterwards either.
      const isPast = isCold && before !== undefined && before < 0.5;
      if (isPast) expect(await cachedOf(from)).toBe(before);
      await expectCopied(short);
      // The system reads ahead for the next of many.
      if (isPast) expect(await cachedOf(from)).toBeGreaterThan(before);
      const past = { source: source.length - 5, target: 0, length: 6 };
      const failure = await errorOf(pool.copy({ from, to, ranges: [past] }, { signal }));
      expect(failure).toMatchObject({ code: fileEndedCode });
    } finally {
      pool.close();
    }
    expected.set(source.subarray(-5), 0);
    expect(readFileSync(to).equals(expected)).toBe(true);
  });
});

const bytes = noise(700_000, 1);

/** A file that begins empty, and one that has a part of it. */
async function bench(change?: (seed: string) => void) {
  const directory = await temporaryDirectory();
  const path = join(directory, "seed");
  writeFileSync(path, bytes);
  const whole = { partial: join(directory, "partial"), journal: join(directory, "journal") };
  const file = await openPartialFile(whole, {
    mediaType: "",
    digest: digestOf(bytes),
    size: bytes.length,
  });
  const pool = createWorkerPool(1);
  const workers: Pick<WorkerPool, "copy"> = {
    async copy(job, options) {
      const copied = await pool.copy(job, options);
      change?.(path);
      return copied;
    },
  };
  let reused = 0;
  const one = {
    place: whole,
    file,
    context: { workers },
    progress: {
      reuse: (more: number) => (reused += more),
      tell: (more: number) => (reused += more),
    },
  } as unknown as FileAssembly;
  const places = PartPlaces.of([place(0, bytes.length, 0)]);
  const part = { stored: asItIs([digestOf(bytes), bytes.length]), places, once: places };
  const seed = { path, places, trusted: true, stats: await lstat(path, { bigint: true }) };
  return {
    run: async (signal = new AbortController().signal) => {
      try {
        return await copyProven(one, [{ part, seed }], signal);
      } finally {
        await file.close();
        pool.close();
      }
    },
    path,
    partial: whole.partial,
    missing: () => file.missing({ start: 0, end: bytes.length }),
    reused: () => reused,
  };
}

describe("parts of a file that is unchanged since they were verified", () => {
  test("are copied, and count", async () => {
    const { run, partial, missing, reused } = await bench();
    expect(await run()).toBe(true);
    expect(missing()).toEqual([]);
    expect(reused()).toBe(bytes.length);
    expect(readFileSync(partial).equals(bytes)).toBe(true);
  });

  test("do not count where it was changed while they were copied", async () => {
    const { run, missing, reused } = await bench((path) => appendFileSync(path, "more"));
    expect(await run()).toBe(false);
    expect(missing()).toEqual([{ start: 0, end: bytes.length }]);
    expect(reused()).toBe(0);
  });

  test("do not count where it was cut short or is gone", async () => {
    const cut = await bench();
    writeFileSync(cut.path, bytes.subarray(0, 300_000));
    expect(await cut.run()).toBe(false);
    expect(cut.missing()).toEqual([{ start: 0, end: bytes.length }]);
  });

  test("are left where the user ends the run", async () => {
    const { run, missing } = await bench();
    const error = await run(AbortSignal.abort(new Error("enough"))).catch(
      (cause: unknown) => cause,
    );
    expect(error).toEqual(new Error("enough"));
    expect(missing()).toEqual([{ start: 0, end: bytes.length }]);
  });
});
