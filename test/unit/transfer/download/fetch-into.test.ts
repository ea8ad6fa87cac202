import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { ByteRange } from "../../../../src/oci/content.ts";
import { createWorkerPool } from "../../../../src/runtime/worker-pool.ts";
import { createDownloader } from "../../../../src/transfer/download/download.ts";
import { openPartialFile } from "../../../../src/transfer/download/partial-file.ts";
import { digest } from "../../../support/model/fixtures.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const MiB = 1024 * 1024;
const size = 40 * MiB;
const workers = createWorkerPool(1);
afterAll(() => workers.close());

/** The ranges that are asked for of a blob of 40 MiB, after which others are fetched. */
async function asked(following: number): Promise<(ByteRange | undefined)[]> {
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
  expect(await asked(10 * size)).toEqual([undefined]);
});

test.each([0, size, 3 * size])(
  "one that would be the last to end, before %d bytes, comes in ranges",
  async (following) => {
    const ranges = await asked(following);
    expect(ranges.length).toBeGreaterThan(3);
    expect(ranges).not.toContain(undefined);
  },
);
