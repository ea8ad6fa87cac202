import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OcibundleError } from "../../../../src/errors.ts";
import type { ByteRange } from "../../../../src/oci/content.ts";
import type { DirectWriter } from "../../../../src/runtime/direct-writer.ts";
import { blockBytes } from "../../../../src/runtime/recent-bytes.ts";
import { blockWriter } from "../../../../src/transfer/download/block-writer.ts";
import { recentBlocks } from "../../../../src/transfer/download/recent-blocks.ts";
import { failureOf } from "../../../support/failure.ts";

const content = randomBytes(blockBytes);
const chunks = [content.subarray(0, 1000), content.subarray(1000)];
const range: ByteRange = { start: blockBytes, end: 2 * blockBytes };
const full = new OcibundleError("system", "no space left on device");

/** Writes past the page cache that end when they are told to, and whether well. */
function slowDisk() {
  const writes: PromiseWithResolvers<boolean>[] = [];
  const direct: DirectWriter = {
    get isFree() {
      return writes.length === 0;
    },
    write: () => {
      const write = Promise.withResolvers<boolean>();
      writes.push(write);
      return write.promise;
    },
    close() {},
  };
  return { direct, writes };
}

describe("a block", () => {
  test("is in the file when that is told, and can be read from memory then", async () => {
    const directory = await mkdtemp(join(tmpdir(), "blocks-"));
    const file = await open(join(directory, "file"), "w");
    const recent = recentBlocks().file();
    const told: ByteRange[] = [];
    const writer = blockWriter(file.fd, recent, {
      writeThrough: async (position, parts) => void (await file.writev(parts, position)),
      onWritten: (one) => told.push(one),
    });
    expect(await writer.write(range, chunks)).toBe(true);
    await writer.drain();
    expect(told).toEqual([range]);
    const held = recent.read(blockBytes);
    expect(content.equals(held?.bytes ?? new Uint8Array())).toBe(true);
    held?.release();
    expect((await readFile(join(directory, "file"))).subarray(blockBytes).equals(content)).toBe(
      true,
    );
    await writer.close();
    await file.close();
    await rm(directory, { recursive: true });
  });

  test("that is not whole, or begins elsewhere, is not taken", async () => {
    const writer = blockWriter(-1, recentBlocks().file(), {
      writeThrough: () => Promise.reject(full),
      onWritten() {},
    });
    expect(await writer.write({ start: 0, end: blockBytes - 1 }, chunks)).toBe(false);
    expect(await writer.write({ start: 5, end: blockBytes + 5 }, chunks)).toBe(false);
  });

  test("is not waited for; while the disk is busy, others go through the page cache", async () => {
    const { direct, writes } = slowDisk();
    const through: number[] = [];
    const told: number[] = [];
    const writer = blockWriter(-1, recentBlocks().file(), {
      writeThrough: (position) => Promise.resolve(void through.push(position)),
      onWritten: ({ start }) => told.push(start),
      direct,
    });
    await writer.write(range, chunks);
    await writer.write({ start: 0, end: blockBytes }, chunks);
    expect(through).toEqual([0]);
    expect(told).toEqual([0]);
    writes[0]?.resolve(true);
    await writer.drain();
    expect(told).toEqual([0, blockBytes]);
  });

  test("that can't be written fails all that follows, and is never said to be there", async () => {
    const { direct, writes } = slowDisk();
    const recent = recentBlocks().file();
    const told: ByteRange[] = [];
    const writer = blockWriter(-1, recent, {
      writeThrough: () => Promise.reject(full),
      onWritten: (one) => told.push(one),
      direct,
    });
    await writer.write(range, chunks);
    writes[0]?.resolve(false);
    expect(await failureOf(writer.drain())).toBe(full);
    expect(await failureOf(writer.write({ start: 0, end: blockBytes }, chunks))).toBe(full);
    await writer.close();
    expect(told).toEqual([]);
    expect(recent.read(blockBytes)).toBeUndefined();
  });
});
