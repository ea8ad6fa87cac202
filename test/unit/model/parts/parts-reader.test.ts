import { expect, test } from "bun:test";
import { Segments } from "../../../../src/model/format/segment-list.ts";
import { zstdCompressSync } from "node:zlib";
import { partsReader } from "../../../../src/model/jobs/remote-header.ts";
import { asItIs } from "../../../../src/model/parts/parts-artifact.ts";
import type { ContentReader } from "../../../../src/oci/content.ts";
import { digestOf } from "../../../../src/oci/digest.ts";

test("what was decompressed of many parts is not kept", async () => {
  const contents = Array.from({ length: 6 }, (_, at) => new Uint8Array(1000).fill(at));
  const blobs = contents.map((bytes) => zstdCompressSync(bytes));
  const opened: number[] = [];
  const reader = {
    blobSource(blob: { digest: string }) {
      const at = blobs.findIndex((bytes) => digestOf(bytes) === blob.digest);
      opened.push(at);
      return Promise.resolve({ kind: "bytes", bytes: blobs[at] });
    },
  } as unknown as ContentReader;
  const parts = contents.map((bytes, at) => ({
    digest: digestOf(bytes),
    size: 1000,
    encoding: "zstd" as const,
    stored: { digest: digestOf(blobs[at] ?? ""), size: blobs[at]?.byteLength ?? 0 },
  }));
  const segments = Segments.of(contents.map((_, at) => [at, 0, 1000] as const));
  const { signal } = new AbortController();
  const readAt = partsReader(reader, { segments }, { parts }, signal);
  expect([...(await readAt(0, 6000))]).toEqual(contents.flatMap((bytes) => [...bytes]));
  expect([...(await readAt(5990, 10))]).toEqual(Array.from({ length: 10 }, () => 5));
  expect(opened).toEqual([0, 1, 2, 3, 4, 5]);
  expect([...(await readAt(0, 1))]).toEqual([0]);
  expect(opened).toEqual([0, 1, 2, 3, 4, 5, 0]);
});

test("pieces that follow one another in their parts are read at once", async () => {
  const contents = [1, 2].map((part) =>
    Uint8Array.from({ length: 40 }, (_, at) => 100 * part + at),
  );
  const ranges: (readonly [part: number, start: number, end: number])[] = [];
  const reader = {
    blobSource(blob: { digest: string }) {
      const part = contents.findIndex((bytes) => digestOf(bytes) === blob.digest);
      return Promise.resolve({
        kind: "stream",
        open({ start, end }: { start: number; end: number }) {
          ranges.push([part, start, end]);
          // The second part is shorter than is said.
          const bytes = contents[part]?.slice(start, part === 1 ? Math.min(end, 35) : end);
          return Promise.resolve(new Response(bytes).body);
        },
      });
    },
  } as unknown as ContentReader;
  const parts = contents.map((bytes) => asItIs([digestOf(bytes), bytes.length]));
  const pieces = Array.from(
    { length: 20 },
    (_, at) => [at % 2, 4 * Math.floor(at / 2), 4] as const,
  );
  const segments = Segments.of([...pieces, [0, 8, 4]]);
  const bytes = pieces.flatMap(([part, at, length]) => [
    ...(contents[part]?.subarray(at, at + length) ?? []),
  ]);
  const readAt = partsReader(reader, { segments }, { parts }, new AbortController().signal);
  expect([...(await readAt(2, 60))]).toEqual(bytes.slice(2, 62));
  expect(ranges.splice(0)).toEqual([
    [0, 2, 32],
    [1, 0, 30],
  ]);
  // What lies elsewhere in a part is read by itself, and nothing is given behind what is missing.
  expect([...(await readAt(64, 20))]).toEqual(bytes.slice(64, 71));
  expect(ranges).toEqual([
    [0, 32, 40],
    [1, 32, 40],
    [0, 8, 12],
  ]);
});
