import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { open, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { answerMemory } from "../../../../src/model/serve/answer-memory.ts";
import { diskReads } from "../../../../src/model/serve/disk-reads.ts";
import { fileBytes } from "../../../../src/model/serve/file-bytes.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import type { CachedShare } from "../../../../src/runtime/page-cache.ts";
import { failureOf } from "../../../support/failure.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const MiB = 1024 * 1024;

/** All is read through the page cache. */
const options = () => ({
  memory: answerMemory(),
  begin: () => ({ read: () => Promise.resolve(undefined), end() {} }),
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
  for await (const chunk of fileBytes(file, range, options())) {
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
  for await (const chunk of fileBytes(file, { start: 0, end: MiB }, { ...options(), memory })) {
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
    for await (const chunk of fileBytes(file, { start: 0, end: MiB }, options())) {
      length += chunk.byteLength;
    }
  };
  expect(await failureOf(reading())).toMatchObject({
    code: "integrity",
    message: "a cached file was truncated",
  });
  expect(length).toBe(300_000);
});

test("the bytes are the same from the page cache, from the disk, and from both in turn", async () => {
  const bytes = randomBytes(20 * MiB + 4321);
  const { path, file: opened } = await fileOf(bytes);
  await opened.close();
  const block = MiB / 2;
  const shares: CachedShare[] = [() => 0, () => undefined, (_, start) => (start / block) % 2];
  for (const share of shares) {
    for (const start of [0, 1, block - 1, block + 70_000]) {
      for (const end of [bytes.length, bytes.length - 4000]) {
        const file = await open(path);
        const reads = diskReads(share);
        const one = { file: file.fd, name: digestOf("the file"), size: bytes.length };
        const begin = () => reads.begin(one, { start, end });
        let at = start;
        for await (const chunk of fileBytes(
          file,
          { start, end },
          { memory: answerMemory(), begin },
        )) {
          const expected = bytes.subarray(at, Math.min(end, at + chunk.length));
          expect(expected.equals(chunk)).toBe(true);
          at += chunk.length;
        }
        expect(at).toBe(end);
      }
    }
  }
});
