import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { open, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { answerMemory, fileBytes } from "../../../../src/model/serve/answer-memory.ts";
import { failureOf } from "../../../support/failure.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const MiB = 1024 * 1024;

test("few answers have large buffers, and many share what there is", () => {
  const memory = answerMemory();
  const sizes = (count: number): number[] => {
    const shares = Array.from({ length: count }, () => memory.share());
    for (const share of shares) share.buffer(MiB);
    const all = shares.map((share) => share.buffer(MiB).byteLength);
    for (const share of shares) share.end();
    return all;
  };
  expect(sizes(1)).toEqual([256 * 1024]);
  for (const count of [64, 200, 256, 500]) {
    expect(sizes(count).reduce((sum, size) => sum + size)).toBeLessThanOrEqual(16 * MiB);
  }
});

test("a buffer is used again, and is no larger than what there is to read", () => {
  const share = answerMemory().share();
  const first = share.buffer(100_000);
  expect(first.byteLength).toBe(100_000);
  expect(share.buffer(5)).toBe(first);
  expect(share.buffer(100_000)).toBe(first);
  const larger = share.buffer(200_000);
  expect(larger.byteLength).toBe(200_000);
  expect(first.byteLength).toBe(0);
  share.end();
  expect(larger.byteLength).toBe(0);
});

async function fileOf(bytes: Uint8Array) {
  const path = join(await temporaryDirectory(), "file");
  await writeFile(path, bytes);
  return { path, file: await open(path) };
}

test("a file's bytes come in order, each chunk as it was until the next one is asked for", async () => {
  const bytes = randomBytes(MiB + 17);
  const { path, file } = await fileOf(bytes);
  const range = { start: 3, end: bytes.length - 1 };
  const chunks: Uint8Array[] = [];
  for await (const chunk of fileBytes(file, range, answerMemory())) {
    // The next one is read meanwhile.
    await readFile(path);
    chunks.push(Uint8Array.from(chunk));
  }
  expect(chunks.length).toBeGreaterThan(3);
  expect(Buffer.concat(chunks).equals(bytes.subarray(3, -1))).toBe(true);
  expect(file.fd).toBe(-1);
});

test("a file that is read no further is closed, and what was read ahead is given back", async () => {
  const { file } = await fileOf(randomBytes(MiB));
  const memory = answerMemory();
  for await (const chunk of fileBytes(file, { start: 0, end: MiB }, memory)) {
    expect(chunk.byteLength).toBe(256 * 1024);
    break;
  }
  expect(file.fd).toBe(-1);
  expect(memory.share().buffer(MiB).byteLength).toBe(256 * 1024);
});

test("a file that became shorter is an error after its last byte, not an end", async () => {
  const { path, file } = await fileOf(randomBytes(MiB));
  await truncate(path, 300_000);
  let length = 0;
  const reading = async (): Promise<void> => {
    for await (const chunk of fileBytes(file, { start: 0, end: MiB }, answerMemory())) {
      length += chunk.byteLength;
    }
  };
  expect(await failureOf(reading())).toMatchObject({
    code: "integrity",
    message: "a cached file was truncated",
  });
  expect(length).toBe(300_000);
});
