import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type MockRequest, mockWeights } from "../../../src/harness/mock-weights.ts";
import { randomBytes } from "../../../src/model/weights/random-bytes.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { readLock } from "../../support/model/lock.ts";
import { noFlags } from "../../support/model/job.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-mock-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const mock = (more: Partial<MockRequest> = {}, signal = new AbortController().signal) =>
  mockWeights(
    {
      env: { OCIBUNDLE_CACHE: join(directory, "cache") },
      cwd: directory,
      signal,
      emit: () => undefined,
      flags: noFlags,
    },
    {
      count: 3,
      minSize: 1000,
      maxSize: 3_000_000,
      outputDir: "weights",
      destPrefix: "/cache/",
      output: "weights.lock",
      seed: 1,
      compression: "none",
      ...more,
    },
  );

const weights = (name: string) => readFileSync(join(directory, "weights", `${name}.bin`));

const digests = async (seed: number) =>
  (await mock({ seed })).files.map(({ digest, size }) => [digest, size]);

test("writes files and the lock that is theirs", async () => {
  const report = await mock();
  expect(readdirSync(join(directory, "weights")).toSorted()).toEqual([
    "weights-001.bin",
    "weights-002.bin",
    "weights-003.bin",
  ]);
  const { files } = readLock(directory);
  expect(report).toMatchObject({ lock: "weights.lock", directory: "weights", files });
  for (const file of files) {
    const bytes = weights(file.name);
    expect(file).toEqual({
      name: file.name,
      dest: `/cache/${file.name}.bin`,
      digestOriginal: digestOf(bytes),
      digest: digestOf(bytes),
      size: bytes.length,
      sizeUncompressed: bytes.length,
      mediaType: "application/vnd.cog.weights.layer.v1",
      contentType: "application/octet-stream",
    });
    expect(bytes.length).toBeGreaterThanOrEqual(1000);
    expect(bytes.length).toBeLessThanOrEqual(3_000_000);
    expect(gzipSync(bytes).length).toBeGreaterThan(bytes.length * 0.99);
  }
});

test("the same seed gives the same files, another seed others", async () => {
  const [first, again, other] = [await digests(7), await digests(7), await digests(8)];
  expect(again).toEqual(first);
  expect(other).not.toEqual(first);
  expect(await digests(7 + 2 ** 40)).not.toEqual(first);
  expect(new Set(first.map(([digest]) => digest)).size).toBe(3);
});

test("without a seed each run gives others", async () => {
  const first = await mock({ seed: undefined, count: 1 });
  const second = await mock({ seed: undefined, count: 1 });
  expect(first.files[0]?.digest).not.toBe(second.files[0]?.digest);
});

test("sizes that are no multiple of anything are met exactly", async () => {
  for (const size of [1, 3, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1]) {
    await mock({ count: 1, minSize: size, maxSize: size });
    expect(statSync(join(directory, "weights/weights-001.bin")).size).toBe(size);
    expect(readLock(directory).files[0]?.digest).toBe(digestOf(weights("weights-001")));
  }
});

test("an empty file is stored as gzip", async () => {
  await mock({ count: 1, minSize: 0, maxSize: 0 });
  expect(readLock(directory).files[0]).toMatchObject({
    digestOriginal: digestOf(""),
    sizeUncompressed: 0,
    size: 20,
    mediaType: "application/vnd.cog.weights.layer.v1+gzip",
  });
});

test("with a compression the lock says so", async () => {
  await mock({ compression: "gzip", count: 2 });
  for (const file of readLock(directory).files) {
    expect(file.mediaType).toBe("application/vnd.cog.weights.layer.v1+gzip");
    expect(file.digest).not.toBe(file.digestOriginal);
    expect(file.digestOriginal).toBe(digestOf(weights(file.name)));
  }
});

test("a prefix needs no slash at its end", async () => {
  await mock({ count: 1, destPrefix: "/models" });
  expect(readLock(directory).files[0]?.dest).toBe("/models/weights-001.bin");
});

describe("refuses", () => {
  test("a smallest size above the largest", async () => {
    await expect(mock({ minSize: 2, maxSize: 1 })).rejects.toMatchObject({ code: "usage" });
  });

  test("a prefix that makes no dest, before anything is written", async () => {
    await expect(mock({ destPrefix: "cache" })).rejects.toThrow("must be an absolute path");
    expect(readdirSync(directory)).toEqual([]);
  });

  test("a directory that is a file", async () => {
    writeFileSync(join(directory, "weights"), "");
    await expect(mock()).rejects.toMatchObject({ code: "conflict" });
  });
});

test("an abort leaves no half of a file behind", async () => {
  const reason = new Error("enough");
  await expect(mock({}, AbortSignal.abort(reason))).rejects.toBe(reason);
  expect(readdirSync(join(directory, "weights"))).toEqual([]);
});

test("drawn numbers fill their range", () => {
  const source = randomBytes(1, 2);
  const seen = new Set(Array.from({ length: 200 }, () => source.between(3, 6)));
  expect([...seen].toSorted()).toEqual([3, 4, 5, 6]);
  expect(source.between(9, 9)).toBe(9);
});
