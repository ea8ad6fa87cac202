import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { ByteRange } from "../../../../src/oci/content.ts";
import { createWorkerPool } from "../../../../src/runtime/worker-pool.ts";
import { createDownloader } from "../../../../src/transfer/download/download.ts";
import { openPartialFile } from "../../../../src/transfer/download/open-partial-file.ts";
import { digest } from "../../../support/model/fixtures.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const MiB = 1024 * 1024;
const blobSize = 40 * MiB;
const workers = createWorkerPool(1);
afterAll(() => workers.close());

/** The ranges that are asked for of a blob, of 40 MiB unless given, after which others are fetched. */
async function asked(following: number, size = blobSize): Promise<(ByteRange | undefined)[]> {
  const partial = join(await temporaryDirectory(), "file");
  const place = { partial, journal: `${partial}.journal` };
  const file = await openPartialFile(place, { mediaType: "", digest: digest("a"), size });
  const ranges: (ByteRange | undefined)[] = [];
  const open = (range: ByteRange | undefined) => {
    ranges.push(range);
    const told = range ?? { start: 0, end: size };
    const body = new Blob([new Uint8Array(told.end - told.start)]).stream();
    return Promise.resolve({ range: told, body });
  };
  const downloader = createDownloader({ connections: 4, workers, emit() {} });
  const blob = { open, host: "registry", label: "blob", item: "blob", size, following };
  await downloader.fetchInto(file, blob, new AbortController().signal);
  await file.close();
  return ranges;
}

test("a blob comes over one connection while others occupy the rest of them", async () => {
  expect(await asked(10 * blobSize)).toEqual([undefined]);
});

test.each([0, blobSize, 3 * blobSize])(
  "one that would be the last to end, before %d bytes, comes in ranges",
  async (following) => {
    const ranges = await asked(following);
    expect(ranges.length).toBeGreaterThan(3);
    expect(ranges).not.toContain(undefined);
  },
);

test("the nearer the end, the smaller are the ranges, down to 2 MiB", async () => {
  const size = 8 * MiB;
  const largest = async (following: number): Promise<number> => {
    const ranges = await asked(following, size);
    return Math.max(...ranges.map((range = { start: 0, end: size }) => range.end - range.start));
  };
  expect(await largest(4 * size)).toBe(7.5 * MiB);
  expect(await largest(2 * size)).toBe(4.5 * MiB);
  expect(await largest(0)).toBe(2 * MiB);
});

/**
 * Fetches blobs of 1 MiB, twice as many as there are connections. The last bytes of each come when `mayEnd` resolves,
 * which is given the number of blobs that were asked for. Resolves to how many were on their way at once.
 */
async function mostAtOnce(
  connections: number,
  mayEnd: (count: number) => Promise<void>,
): Promise<number> {
  const partial = join(await temporaryDirectory(), "file");
  const { signal } = new AbortController();
  const downloader = createDownloader({ connections, workers, emit() {} });
  let count = 0;
  let now = 0;
  let most = 0;
  const open = async () => {
    count += 1;
    now += 1;
    most = Math.max(most, now);
    const ended = mayEnd(count);
    // An answer takes its time to begin: that of the last bytes of the one before it is shorter.
    await Bun.sleep(50);
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(new Uint8Array(MiB - 1000));
        await ended;
        controller.enqueue(new Uint8Array(1000));
        now -= 1;
        controller.close();
      },
    });
    return { range: { start: 0, end: MiB }, body };
  };
  const blobs = Array.from({ length: 2 * connections }, async (_, index) => {
    const place = { partial: `${partial}${index}`, journal: `${partial}${index}.journal` };
    const descriptor = { mediaType: "", digest: digest("a"), size: MiB };
    const file = await openPartialFile(place, descriptor);
    const blob = { open, host: "registry", label: "blob", item: "blob", size: MiB };
    await downloader.fetchInto(file, { ...blob, following: 100 * blobSize }, signal);
    await file.close();
  });
  await Promise.all(blobs);
  return most;
}

test("the next blob is asked for when little is left of the one before", async () => {
  const all = Promise.withResolvers<void>();
  const most = await mostAtOnce(4, (count) => {
    if (count === 8) all.resolve();
    return all.promise;
  });
  expect(most).toBe(8);
});

test("who wants one connection gets no second one", async () => {
  expect(await mostAtOnce(1, () => Promise.resolve())).toBe(1);
});
