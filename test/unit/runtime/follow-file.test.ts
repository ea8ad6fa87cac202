import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { blockBytes, blockTag } from "../../../src/runtime/recent-bytes.ts";
import { createWorkerPool, type WorkerPool } from "../../../src/runtime/worker-pool.ts";
import { decodedTooLongCode, fileEndedCode } from "../../../src/runtime/worker-protocol.ts";

const never = new AbortController().signal;
const content = randomBytes(3 * 1024 * 1024 + 7);
const hex = (bytes: Uint8Array, algorithm = "sha256") =>
  createHash(algorithm).update(bytes).digest("hex");

let directory: string;
let pool: WorkerPool;
let count = 0;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-follow-"));
  pool = createWorkerPool(1);
});
afterAll(() => {
  pool.close();
  rmSync(directory, { recursive: true });
});

/** A file that grows: the front follows each write. */
function growing() {
  const path = join(directory, `file-${count++}`);
  const front = new BigInt64Array(new SharedArrayBuffer(8));
  const file = openSync(path, "w");
  return {
    path,
    front,
    write(bytes: Uint8Array, position: number, until = position + bytes.length) {
      writeSync(file, bytes, 0, bytes.length, position);
      Atomics.store(front, 0, BigInt(until));
      Atomics.notify(front, 0);
    },
    close: () => closeSync(file),
  };
}

const job = (file: ReturnType<typeof growing>, size: number) => ({
  path: file.path,
  size,
  algorithm: "sha256" as const,
  front: file.front,
});

describe("a file that is being written", () => {
  test("is hashed to its end, however it grows", async () => {
    const file = growing();
    const result = pool.follow(job(file, content.length), { signal: never });
    file.write(content.subarray(0, 5), 0);
    await Bun.sleep(5);
    file.write(content.subarray(1_000_000), 1_000_000, 5);
    file.write(content.subarray(5, 1_000_000), 5, content.length);
    expect(await result).toEqual({ hex: hex(content), size: content.length });
    file.close();
  });

  test("is hashed from memory where that has its bytes, which are not read back", async () => {
    const file = growing();
    const memory = new SharedArrayBuffer(2 * blockBytes);
    const recent = {
      memory,
      tags: new BigInt64Array(new SharedArrayBuffer(16)),
      file: 3,
      hashed: new BigInt64Array(new SharedArrayBuffer(8)),
    };
    // The second block is in memory, and the file has something else there.
    const kept = randomBytes(blockBytes);
    new Uint8Array(memory, blockBytes).set(kept);
    recent.tags[0] = blockTag(4, 0);
    recent.tags[1] = blockTag(3, blockBytes);
    file.write(content, 0);
    const result = pool.follow({ ...job(file, content.length), recent }, { signal: never });
    const expected = Buffer.from(content);
    expected.set(kept, blockBytes);
    expect(await result).toEqual({ hex: hex(expected), size: content.length });
    expect(Number(recent.hashed[0])).toBe(content.length);
    file.close();
  });

  test("is hashed with sha512 where that is asked for", async () => {
    const file = growing();
    file.write(content, 0);
    const result = pool.follow(
      { ...job(file, content.length), algorithm: "sha512" },
      { signal: never },
    );
    expect((await result).hex).toBe(hex(content, "sha512"));
    file.close();
  });

  test("that is shorter than its front is an error", async () => {
    const file = growing();
    file.write(content, 0, content.length + 1);
    const result = pool.follow(job(file, content.length + 1), { signal: never });
    expect(result).rejects.toMatchObject({ code: fileEndedCode });
    await result.catch(() => undefined);
    file.close();
  });

  test("is let go when the work is cancelled", async () => {
    const file = growing();
    const abort = new AbortController();
    const result = pool.follow(job(file, content.length), { signal: abort.signal });
    await Bun.sleep(20);
    abort.abort(new Error("enough"));
    expect(result).rejects.toThrow("enough");
    await result.catch(() => undefined);
    file.close();
  });
});

const decode = (codec: "gzip" | "zstd", size: number) => ({
  codec,
  size,
  output: join(directory, `decoded-${count++}`),
});

describe("a compressed file", () => {
  const text = Buffer.from(content.toString("hex"));
  test.each([
    ["gzip", gzipSync(text)],
    ["zstd", zstdCompressSync(text)],
    ["gzip", Buffer.concat([gzipSync(text.subarray(0, 9)), gzipSync(text.subarray(9))])],
    [
      "zstd",
      Buffer.concat([zstdCompressSync(text.subarray(0, 9)), zstdCompressSync(text.subarray(9))]),
    ],
  ] as const)("of %s is decompressed while it is written", async (codec, bytes) => {
    const file = growing();
    const into = decode(codec, text.length);
    const result = pool.follow({ ...job(file, bytes.length), decode: into }, { signal: never });
    for (let at = 0; at < bytes.length; at += 500_000) {
      file.write(bytes.subarray(at, at + 500_000), at);
      await Bun.sleep(1);
    }
    expect(await result).toEqual({
      hex: hex(bytes),
      size: bytes.length,
      decoded: { hex: hex(text), size: text.length },
    });
    expect(readFileSync(into.output).equals(text)).toBe(true);
    file.close();
  });

  test("that holds more than it may is cut off there", async () => {
    const file = growing();
    const bomb = gzipSync(Buffer.alloc(100 * 1024 * 1024));
    file.write(bomb, 0);
    const into = decode("gzip", 2_000_000);
    const result = pool.follow({ ...job(file, bomb.length), decode: into }, { signal: never });
    expect(result).rejects.toMatchObject({ code: decodedTooLongCode });
    await result.catch(() => undefined);
    expect(readFileSync(into.output).length).toBeLessThanOrEqual(2_000_000);
    file.close();
  });
});
