import { expect, test } from "bun:test";
import pLimit from "p-limit";
import type { ByteRange } from "../../../../src/oci/content.ts";
import { fetchMissing } from "../../../../src/transfer/download/download-ranges.ts";
import type { PartialFile } from "../../../../src/transfer/download/partial-file.ts";
import { rangeSupport } from "../../../../src/transfer/download/range-work.ts";
import { rangeSet } from "../../../../src/transfer/download/range-set.ts";

/** A file that is done with the write that ends at `slowEnd` when the test says so. */
function slowFile(slowEnd: number): PartialFile & { finish(): void; writing: Promise<void> } {
  const written = rangeSet();
  const claimed = rangeSet();
  const finished = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  return {
    resumed: 0,
    written,
    missing: (range) => claimed.missing(range),
    async write(position, chunks) {
      const end = chunks.reduce((sum, { length }) => sum + length, position);
      claimed.add({ start: position, end });
      if (end === slowEnd) {
        begun.resolve();
        await finished.promise;
      }
      written.add({ start: position, end });
    },
    close: async () => undefined,
    finish: finished.resolve,
    writing: begun.promise,
  };
}

test("a disk that takes its time is waited for, and what has arrived is not asked for again", async () => {
  const size = 12 * 1024 * 1024;
  // Of the first part that is asked for, all has arrived, and the disk is still at its end.
  const file = slowFile(8 * 1024 * 1024);
  const asked: ByteRange[] = [];
  const rest = Promise.withResolvers<void>();
  const fetching = fetchMissing(
    async (range = { start: 0, end: size }) => {
      asked.push(range);
      // The first part is there at once, the rest when the disk has taken that.
      if (range.start > 0) await rest.promise;
      return { range, body: new Blob([new Uint8Array(range.end - range.start)]).stream() };
    },
    file,
    size,
    {
      signal: new AbortController().signal,
      label: "blob",
      limit: pLimit(4),
      ending: { count: 0, most: 0 },
      atOnce: 4,
      support: rangeSupport(),
      emit: () => undefined,
      pace: { silent: 20, dead: 10_000, young: 10_000, factor: 4, short: 0 },
    },
  );
  await file.writing;
  // Several looks later the first request counts as silent.
  await Bun.sleep(120);
  expect(file.written.bytes).toBeLessThan(8 * 1024 * 1024);
  file.finish();
  rest.resolve();
  await fetching;
  expect(file.written.bytes).toBe(size);
  expect(asked.filter(({ start }) => start === 0).length).toBe(1);
});
