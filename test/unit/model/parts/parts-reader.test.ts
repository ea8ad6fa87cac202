import { expect, test } from "bun:test";
import { Segments } from "../../../../src/model/format/segment-list.ts";
import { zstdCompressSync } from "node:zlib";
import { partsReader } from "../../../../src/model/jobs/remote-header.ts";
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
