import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BlobSource, BlobToMove } from "../../../../src/oci/content.ts";
import { digestHex, digestOf } from "../../../../src/oci/digest.ts";
import { sweepBlobParts, writeThroughPart } from "../../../../src/store/layout/blob-part.ts";
import { createLayout } from "../../../../src/store/layout/layout-writer.ts";
import { tryLockFile } from "../../../../src/store/locks/lock-file.ts";

const { signal } = new AbortController();
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-part-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const bytes = new Uint8Array(2 * 1024 * 1024).map((_byte, index) => (index * 7) % 253);
const digest = digestOf(bytes);
const part = `.ocibundle-${digestHex(digest)}.part`;
const file = () => join(directory, "blobs/sha256", digestHex(digest));

/** The blob, with what was asked of it. */
function blobOf(source: (start: number) => ReadableStream<Uint8Array>) {
  const asked: number[] = [];
  const stream: BlobSource = {
    kind: "stream",
    async open({ start }) {
      asked.push(start);
      return source(start);
    },
  };
  const blob: BlobToMove = {
    descriptor: { mediaType: "application/octet-stream", digest, size: bytes.length },
    label: "it",
    group: "weights",
    source: async () => stream,
  };
  return { asked, blob };
}

const rest = (start: number): ReadableStream<Uint8Array> =>
  new Blob([bytes.subarray(start)]).stream();

/** Sends some, then breaks. */
const breaking = (start: number): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start: (controller) => controller.enqueue(bytes.slice(start, start + 1000)),
    pull: (controller) => controller.error(new Error("broken")),
  });

test("what was written before it broke is gone on from", async () => {
  const { blob } = blobOf(breaking);
  await expect(writeThroughPart(directory, file(), blob, { signal })).rejects.toThrow("broken");
  expect(readdirSync(directory)).toEqual([part]);
  const { blob: again, asked } = blobOf(rest);
  let told = 0;
  const onBytes = (more: number): void => void (told += more);
  expect(await writeThroughPart(directory, file(), again, { signal, onBytes })).toBe("written");
  expect(asked).toEqual([1000]);
  expect(told).toBe(bytes.length);
  expect(readFileSync(file()).equals(bytes)).toBe(true);
  expect(readdirSync(directory)).toEqual(["blobs"]);
});

test.each([
  ["whole", bytes],
  ["damaged", bytes.map((byte, index) => (index === 5 ? byte + 1 : byte)).subarray(0, 5000)],
  ["longer than the blob", new Uint8Array(bytes.length + 1)],
  ["empty", new Uint8Array()],
])("a part that is %s comes to a whole blob", async (_what, left) => {
  writeFileSync(join(directory, part), left);
  let told = 0;
  const onBytes = (more: number): void => void (told += more);
  await writeThroughPart(directory, file(), blobOf(rest).blob, { signal, onBytes });
  expect(told).toBe(bytes.length);
  expect(readFileSync(file()).equals(bytes)).toBe(true);
  expect(readdirSync(directory)).toEqual(["blobs"]);
});

test("wrong bytes leave nothing", async () => {
  const { blob } = blobOf(() => new Blob([new Uint8Array(bytes.length)]).stream());
  const writing = writeThroughPart(directory, file(), blob, { signal });
  await expect(writing).rejects.toMatchObject({ code: "integrity" });
  expect(readdirSync(directory)).toEqual([]);
});

test("a blob that another is at is written beside it, and its part is not swept away", async () => {
  const layout = await createLayout(directory, signal);
  const { blob } = blobOf(rest);
  writeFileSync(join(directory, part), "of another");
  const lock = tryLockFile(join(directory, `${part}.lock`));
  expect(await writeThroughPart(directory, file(), blob, { signal })).toBeUndefined();
  expect(await layout.writeBlob(blob, { signal })).toBe("sent");
  await layout.commit(signal);
  expect(readFileSync(join(directory, part), "utf8")).toBe("of another");
  lock?.release();
  await layout.commit(signal);
  expect(readdirSync(directory).toSorted()).toEqual(["blobs", "index.json", "oci-layout"]);
});

test("what is no part is not swept away", async () => {
  writeFileSync(join(directory, ".ocibundle-1.part"), "");
  writeFileSync(join(directory, part), "");
  await sweepBlobParts(directory);
  expect(readdirSync(directory)).toEqual([".ocibundle-1.part"]);
});
