import { expect, test } from "bun:test";
import { Segments } from "../../../../src/model/format/segment-list.ts";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { partsReader } from "../../../../src/model/jobs/remote-header.ts";
import type { FilePlan } from "../../../../src/model/parts/file-plan.ts";
import { asItIs } from "../../../../src/model/parts/parts-artifact.ts";
import { rangesToCopy } from "../../../../src/model/pull/copy-proven.ts";
import { findSeeds } from "../../../../src/model/pull/seeds.ts";
import type { ContentReader } from "../../../../src/oci/content.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { PartPlaces } from "../../../../src/runtime/part-places.ts";
import { runPartJob } from "../../../../src/runtime/part-job.ts";
import type { PartJob } from "../../../../src/runtime/worker-protocol.ts";
import type { WorkerPool } from "../../../../src/runtime/worker-pool.ts";
import { readJournal } from "../../../../src/transfer/download/download-journal.ts";
import { openPartialFile } from "../../../../src/transfer/download/open-partial-file.ts";
import { partView } from "../../../../src/transfer/download/part-view.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

/** Numbers that count how often one of them is looked at. */
function counted(numbers: Float64Array): { list: Float64Array; looks(): number } {
  let looks = 0;
  const list = new Proxy(numbers, {
    get(all, name) {
      if (typeof name === "string" && /^\d+$/.test(name)) looks += 1;
      return Reflect.get(all, name, all) as unknown;
    },
  });
  return { list, looks: () => looks };
}

const { signal } = new AbortController();
const many = 5000;

test("places that lie behind are not looked at again with each chunk", async () => {
  const directory = await temporaryDirectory();
  const [path, out] = [join(directory, "part"), join(directory, "out")];
  const part = Buffer.alloc(4 * 1024 * 1024, "abcdefgh");
  await writeFile(path, part);
  await writeFile(out, "");
  const short = Array.from({ length: many }, (_, at) => ({
    start: Math.floor(at / 2),
    end: Math.floor(at / 2) + 1,
    position: part.length + at,
  }));
  const whole = { start: 0, end: part.length, position: 0 };
  const { list, looks } = counted(PartPlaces.of([whole, ...short]).numbers);
  await runPartJob({
    from: { path, places: PartPlaces.of([whole]).numbers },
    to: { path: out, places: list },
  });
  const written = await readFile(out);
  expect(written.subarray(0, part.length).equals(part)).toBe(true);
  expect(written.subarray(part.length, part.length + 8).toString()).toBe("aabbccdd");
  expect(written).toHaveLength(part.length + many);
  expect(looks()).toBeLessThan(12 * many);
});

test("a piece of a file is found among its segments by halving", async () => {
  const parts = Array.from({ length: many }, (_, at) =>
    asItIs([`sha256:${String(at).padStart(64, "0")}`, 4]),
  );
  let looks = 0;
  const segments = new Proxy(Segments.of(parts.map((_, at) => [at, 0, 4] as const)), {
    get(all, name, receiver) {
      if (name === "numbers") looks += 1;
      return Reflect.get(all, name, receiver) as unknown;
    },
  });
  const reader = {
    blobSource: ({ digest }: { digest: string }) =>
      Promise.resolve({ kind: "bytes", bytes: Buffer.from(digest.slice(-4)) }),
  } as unknown as ContentReader;
  const read = partsReader(reader, { segments }, { parts }, signal);
  for (let count = 0; count < 50; count += 1) {
    expect(Buffer.from(await read(4 * many - 6, 4)).toString()).toBe("9849");
  }
  expect(Buffer.from(await read(4 * many - 2, 10)).toString()).toBe("99");
  expect(await read(4 * many, 10)).toHaveLength(0);
  expect(looks).toBeGreaterThan(100);
  expect(looks).toBeLessThan(2 * many);
});

test("parts are not gone through again for each file that may have some", async () => {
  const directory = await temporaryDirectory();
  let looks = 0;
  const parts = Array.from({ length: many }, (_, at) => ({
    stored: { digest: `sha256:${at}`, size: 4 },
    places: [],
    get once() {
      looks += 1;
      return PartPlaces.of([{ start: 0, end: 4, position: 4 * at }]);
    },
  }));
  const files = Array.from({ length: 20 }, (_, at) => join(directory, `${at}`));
  for (const file of files) await writeFile(file, "0123456789");
  const hashed: number[] = [];
  const workers = {
    size: 2,
    part({ from }: PartJob) {
      const { position } = new PartPlaces(from.places).at(0);
      hashed.push(position);
      return Promise.resolve({ digest: `sha256:${position / 4}`, size: 4 });
    },
  } as unknown as WorkerPool;
  const plans = [{ parts, split: { by: "tree/1" } }] as unknown as FilePlan[];
  const records = { holders: () => Promise.resolve([]), add: () => Promise.resolve() };
  const seeds = await findSeeds(plans, { records, files, workers, signal });
  expect(seeds.of("sha256:1").map(({ path }) => path)).toEqual(files);
  expect(seeds.of("sha256:2")).toEqual([]);
  expect(new Set(hashed)).toEqual(new Set([0, 4]));
  expect(looks).toBeLessThan(4 * many);
});

test("a part in very many pieces is written and noted in time that grows with their number", async () => {
  const directory = await temporaryDirectory();
  const place = { partial: join(directory, "file"), journal: join(directory, "journal") };
  const pieces = 50_000;
  const piece = 40;
  const size = 2 * pieces * piece;
  const blob = { mediaType: "", digest: digestOf("it"), size };
  const file = await openPartialFile(place, blob);
  const part = Buffer.from(
    Uint8Array.from({ length: size / 2 }, (_, at) => (at * 7 + (at >> 8)) & 255),
  );
  // Every other piece of the file, the last one first.
  const places = Array.from({ length: pieces }, (_, at) => ({
    start: at * piece,
    end: (at + 1) * piece,
    position: size - (2 * at + 1) * piece,
  }));
  const view = partView(file, PartPlaces.of(places));
  // Chunks that end within pieces, and bytes that come twice.
  for (let at = 0; at < part.length; at += 10_007) {
    const [end, middle] = [Math.min(part.length, at + 11_000), Math.min(part.length, at + 333)];
    await view.write(at, [part.subarray(at, middle), part.subarray(middle, end)]);
  }
  expect([view.written.bytes, file.written.bytes]).toEqual([size / 2, size / 2]);
  expect(view.missing({ start: 0, end: part.length })).toEqual([]);
  await file.close();
  const written = await readFile(place.partial);
  for (const { start, end, position } of places) {
    if (!written.subarray(position, position + piece).equals(part.subarray(start, end))) {
      throw new Error(`the piece at ${position} is wrong`);
    }
  }
  // The journal tells of some of it, and of nothing that is not there.
  const told = (await readJournal(place, blob)) ?? [];
  expect(told.length).toBeGreaterThan(1000);
  const there = new Set(places.map(({ position }) => position));
  expect(told.every(({ start, end }) => end - start === piece && there.has(start))).toBe(true);
});

test("pieces of a part are found in a seed by halving", () => {
  const places = Array.from({ length: many }, (_, at) => ({
    start: at * 4,
    end: at * 4 + 4,
    position: (many - at) * 4,
  }));
  const { list, looks } = counted(PartPlaces.of(places).numbers);
  const wanted = PartPlaces.of(places.map(({ start, end }) => ({ start, end, position: start })));
  const there = new PartPlaces(list);
  const ranges = rangesToCopy([{ part: { places: wanted }, seed: { places: there } }]);
  expect(ranges).toHaveLength(many);
  expect(ranges[7]).toEqual({ source: (many - 7) * 4, target: 28, length: 4 });
  expect(looks()).toBeLessThan(30 * many);
});
