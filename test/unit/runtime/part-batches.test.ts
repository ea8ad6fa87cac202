import { expect, test } from "bun:test";
import { partBatches } from "../../../src/runtime/part-batches.ts";
import { PartPlaces } from "../../../src/runtime/part-places.ts";
import type { Hashed, PartJob } from "../../../src/runtime/worker-protocol.ts";

const MiB = 1024 * 1024;
const options = { signal: new AbortController().signal };

const placed = (path: string, end: number) => ({
  path,
  places: PartPlaces.of([{ start: 0, end, position: 0 }]).numbers,
});
const part = (size: number, path = "a"): PartJob => ({ from: placed(path, size) });

/** Batches that end when they are told to; each job's result has the size of its part. */
function held(most: number) {
  const batches: { sizes: number[]; end: PromiseWithResolvers<void> }[] = [];
  const take = partBatches(most, async (jobs) => {
    const sizes = jobs.map(({ from }) => new PartPlaces(from.places).bytes);
    const end = Promise.withResolvers<void>();
    batches.push({ sizes, end });
    await end.promise;
    return sizes.map((size): Hashed => ({ digest: "sha256:0", size }));
  });
  return { batches, take, sizes: () => batches.map((batch) => batch.sizes) };
}

test("parts that come while another is hashed are hashed together, and each gets its own result", async () => {
  const { batches, take, sizes } = held(4);
  const results = [1, 2, 3].map((size) => take(part(size), options));
  expect(sizes()).toEqual([[1]]);
  batches[0]?.end.resolve();
  await results[0];
  expect(sizes()).toEqual([[1], [2, 3]]);
  batches[1]?.end.resolve();
  expect((await Promise.all(results)).map(({ size }) => size)).toEqual([1, 2, 3]);
});

test("as much as is worth another worker goes to one, up to as many as there are", () => {
  const { take, sizes } = held(2);
  for (let count = 0; count < 6; count += 1) void take(part(8 * MiB), options);
  expect(sizes()).toEqual([[8 * MiB], [8 * MiB, 8 * MiB]]);
});

test("parts of other files, or that others may take back, are another batch", async () => {
  const { batches, take, sizes } = held(1);
  const first = take(part(1), options);
  void take(part(2), options);
  void take(part(3, "b"), options);
  void take(part(4), { signal: new AbortController().signal });
  void take(part(5), options);
  batches[0]?.end.resolve();
  await first;
  expect(sizes()).toEqual([[1], [2, 5]]);
});

test("a batch that fails fails each of its parts, and those behind it go on", async () => {
  const failure = new Error("the disk is broken");
  const { batches, take, sizes } = held(1);
  const results = [1, 2, 3].map((size) => take(part(size), options));
  const outcomes = Promise.allSettled(results.slice(0, 1));
  batches[0]?.end.reject(failure);
  expect(await outcomes).toEqual([{ status: "rejected", reason: failure }]);
  expect(sizes()).toEqual([[1], [2, 3]]);
  batches[1]?.end.resolve();
  expect((await Promise.all(results.slice(1))).map(({ size }) => size)).toEqual([2, 3]);
});

test("what can fail for more than its file is a batch of its own, at once", () => {
  const { take, sizes } = held(1);
  const jobs: PartJob[] = [
    part(1),
    { ...part(2), to: placed("b", 2) },
    { ...part(3), decode: { codec: "zstd", size: 3 } },
    { ...part(4), to: placed("a", 4) },
  ];
  for (const job of jobs) void take(job, options);
  expect(sizes()).toEqual([[1], [2], [3]]);
});
