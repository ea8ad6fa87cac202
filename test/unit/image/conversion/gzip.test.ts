import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { gzip } from "../../../../src/image/conversion/gzip.ts";

async function* chunksOf(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
}

async function compressed(bytes: Uint8Array, chunk: number, blocks?: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of gzip(chunksOf(bytes, chunk), blocks)) parts.push(part);
  return Buffer.concat(parts);
}

const MiB = 1024 * 1024;

async function* failing() {
  yield Buffer.alloc(MiB);
  throw new RangeError("broken off");
}

describe("gzip", () => {
  for (const size of [0, 1, 1000, MiB - 1, MiB, MiB + 1, 3 * MiB + 17]) {
    test(`of ${size} bytes decompresses to the same`, async () => {
      const bytes = Buffer.concat([randomBytes(size >> 1), Buffer.alloc(size - (size >> 1), 7)]);
      const result = await compressed(bytes, 65_536);
      expect(Buffer.compare(gunzipSync(result), bytes)).toBe(0);
    });
  }

  test("is the same whatever the chunks and the threads", async () => {
    const bytes = Buffer.concat([randomBytes(MiB), Buffer.alloc(2 * MiB, "abc")]);
    const expected = await compressed(bytes, 65_536, 1);
    for (const [chunk, blocks] of [
      [777, 2],
      [MiB, 3],
      [bytes.byteLength, 64],
    ] as const) {
      expect(Buffer.compare(await compressed(bytes, chunk, blocks), expected)).toBe(0);
    }
  });

  test("says nothing of when or where it was made", async () => {
    const result = await compressed(Buffer.from("x"), 1);
    expect([...result.subarray(0, 10)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
  });

  test("takes no more in than it may while nothing is taken out", async () => {
    let taken = 0;
    async function* endless() {
      for (;;) {
        taken += 1;
        yield Buffer.alloc(MiB);
      }
    }
    const result = gzip(endless(), 3);
    for (let part = 0; part < 5; part += 1) await result.next();
    // The header, four blocks, and two that wait.
    expect(taken).toBeLessThanOrEqual(7);
    await result.return();
  });

  test("passes the failure of its input on", async () => {
    const all = (async () => {
      for await (const part of gzip(failing())) void part;
    })();
    await expect(all).rejects.toThrow(new RangeError("broken off"));
  });
});
