import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../../../src/oci/digest.ts";
import { appendBody } from "../../../../src/harness/registry/storage/append.ts";
import { startHash } from "../../../../src/harness/registry/storage/running-hash.ts";
import { createUploadBuffers } from "../../../../src/harness/registry/storage/upload-buffers.ts";

const KiB = 1024;
const largeBytes = 4 * KiB * KiB;
const middleBytes = KiB * KiB;
const smallBytes = 64 * KiB;
const largeCount = 6;
const middleCount = 28;
const count = largeCount + middleCount;

const received = () => ({ size: 0, hash: startHash("sha256") });

async function* tenMebibytes(): AsyncGenerator<Uint8Array> {
  for (let sent = 0; sent < 10; sent += 1) yield new Uint8Array(KiB * KiB);
}

describe("buffers of uploads", () => {
  test("are of middle size for a few, then large, and small for all others", () => {
    const buffers = createUploadBuffers();
    const sizes = Array.from({ length: 300 }, () => buffers.take(0).length);
    expect(sizes.slice(0, middleCount)).toEqual(
      Array.from({ length: middleCount }, () => middleBytes),
    );
    const rest = sizes.slice(middleCount);
    expect(rest.slice(0, largeCount)).toEqual(Array.from({ length: largeCount }, () => largeBytes));
    expect(new Set(rest.slice(largeCount))).toEqual(new Set([smallBytes]));
  });

  test("are large ones for a body that has shown to be large", () => {
    const buffers = createUploadBuffers();
    const sizes = Array.from({ length: largeCount + 1 }, () => buffers.take(16 * KiB * KiB).length);
    expect(sizes).toEqual([...Array.from({ length: largeCount }, () => largeBytes), middleBytes]);
  });

  test("serve again once they are given back, a larger one before a small one", () => {
    const buffers = createUploadBuffers();
    const taken = Array.from({ length: count + 1 }, () => buffers.take(0));
    const [middle, small] = [taken[0], taken.at(-1)];
    if (middle === undefined || small === undefined) throw new Error("nothing was taken");
    buffers.giveBack(small);
    buffers.giveBack(middle);
    expect(buffers.take(0)).toBe(middle);
    expect(buffers.take(0)).toBe(small);
  });
});

describe("a body", () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "ocibundle-append-"));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test("is stored and hashed right whatever buffers are left for it", async () => {
    const buffers = createUploadBuffers();
    const all = Array.from({ length: 2 * count }, (_, index) => ({
      path: join(directory, `upload-${index}`),
      bytes: randomBytes(300 * KiB + index),
    }));
    // All have begun before any goes on, so that the later ones find no large buffer.
    const begun = Promise.withResolvers<void>();
    let waiting = 0;
    async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
      waiting += 1;
      if (waiting === all.length) begun.resolve();
      await begun.promise;
      for (let at = 0; at < bytes.length; at += 100 * KiB) yield bytes.slice(at, at + 100 * KiB);
    }
    await Promise.all(
      all.map(async ({ path, bytes }) => {
        writeFileSync(path, "");
        const state = received();
        await appendBody(path, chunksOf(bytes), state, buffers);
        expect(state.size).toBe(bytes.length);
        expect(`sha256:${await state.hash.digest()}`).toBe(digestOf(bytes));
        expect(readFileSync(path).equals(bytes)).toBe(true);
      }),
    );
  });

  test("leaves a part of something larger to whom it belongs", async () => {
    const path = join(directory, "part");
    writeFileSync(path, "");
    const whole = Uint8Array.from(randomBytes(100 * KiB));
    const before = digestOf(whole);
    async function* parts(): AsyncGenerator<Uint8Array> {
      yield whole.subarray(0, 50 * KiB);
      yield whole.subarray(50 * KiB);
    }
    await appendBody(path, parts(), received());
    expect(digestOf(whole)).toBe(before);
    expect(readFileSync(path).equals(whole)).toBe(true);
  });

  test.skipIf(process.platform !== "linux")(
    "that can't be written gives its buffers back",
    async () => {
      const buffers = createUploadBuffers();
      for (let time = 0; time < count; time += 1) {
        const failing = appendBody("/dev/full", tenMebibytes(), received(), buffers);
        expect(failing).rejects.toThrow("ENOSPC");
        await failing.catch(() => undefined);
      }
      const taken = Array.from({ length: count }, () => buffers.take(0).length);
      expect(new Set(taken)).toEqual(new Set([middleBytes, largeBytes]));
    },
  );
});
