import { describe, expect, test } from "bun:test";
import { blockBytes, recentAt } from "../../../../src/runtime/recent-bytes.ts";
import {
  type RecentFile,
  type RecentLimits,
  recentBlocks,
} from "../../../../src/transfer/download/recent-blocks.ts";

const memoryOf = (blocks: number, slowest = 0): RecentLimits => ({
  memory: blocks * blockBytes,
  slowest,
});

/** Puts the block with this number into the file, all bytes of it the number. */
async function put(file: RecentFile, number: number): Promise<boolean> {
  const block = await file.take(number * blockBytes);
  if (block === undefined) return false;
  block.bytes.fill(number);
  block.publish();
  file.front((number + 1) * blockBytes);
  return true;
}

const hash = (file: RecentFile, blocks: number): void => {
  Atomics.store(file.shared.hashed, 0, BigInt(blocks * blockBytes));
};

function firstByte(file: RecentFile, position: number): number | undefined {
  const held = file.read(position);
  held?.release();
  return held?.bytes[0];
}

describe("the recent blocks of a file", () => {
  test("are read from any byte to the end of their block, by other threads as well", async () => {
    const file = recentBlocks(memoryOf(2)).file();
    await put(file, 1);
    const held = file.read(blockBytes + 10);
    expect(held?.bytes.length).toBe(blockBytes - 10);
    held?.release();
    expect(recentAt(file.shared, 2 * blockBytes - 1)).toEqual(Uint8Array.of(1) as never);
    expect(recentAt(file.shared, 0)).toBeUndefined();
    expect(recentAt(file.shared, 2 * blockBytes)).toBeUndefined();
  });

  test("are not read before they are in the file, nor when they could not be written", async () => {
    const file = recentBlocks(memoryOf(1)).file();
    const block = await file.take(0);
    expect(file.read(0)).toBeUndefined();
    expect(recentAt(file.shared, 0)).toBeUndefined();
    block?.drop();
    expect(file.read(0)).toBeUndefined();
    expect(await put(file, 0)).toBe(true);
  });

  test("stay until they are hashed: what has no place is written without one", async () => {
    const file = recentBlocks(memoryOf(2)).file();
    await put(file, 0);
    await put(file, 1);
    expect(await put(file, 2)).toBe(false);
    hash(file, 1);
    expect(await put(file, 2)).toBe(true);
    expect(firstByte(file, 0)).toBeUndefined();
    expect([1, 2].map((number) => firstByte(file, number * blockBytes))).toEqual([1, 2]);
  });

  test("wait for who reads them, and for the first of several", async () => {
    const blocks = 8;
    // A byte a millisecond: it would wait for hours.
    const file = recentBlocks(memoryOf(blocks, 1)).file();
    file.reached(0);
    for (let number = 0; number < blocks; number += 1) await put(file, number);
    hash(file, blocks);
    expect(file.isAwaited).toBe(false);
    let isPut = false;
    const next = put(file, blocks).then((done) => (isPut = done));
    const after = put(file, blocks + 1);
    file.reached(blockBytes - 1);
    for (let turns = 0; turns < 20; turns += 1) await new Promise((end) => setImmediate(end));
    expect(isPut).toBe(false);
    file.reached(blockBytes);
    expect(await next).toBe(true);
    expect(firstByte(file, blocks * blockBytes)).toBe(blocks);
    file.end();
    expect(await after).toBe(false);
  });

  test("do not wait for long for who reads slowly", async () => {
    const blocks = 8;
    const file = recentBlocks(memoryOf(blocks, Infinity)).file();
    file.reached(0);
    for (let number = 0; number < blocks; number += 1) await put(file, number);
    hash(file, blocks);
    expect(await put(file, blocks)).toBe(true);
    expect(firstByte(file, 0)).toBeUndefined();
  });

  test("do not become others while they are held", async () => {
    const file = recentBlocks(memoryOf(1, Infinity)).file();
    await put(file, 0);
    hash(file, 1);
    const held = file.read(0);
    expect(await put(file, 1)).toBe(false);
    expect(held?.bytes[0]).toBe(0);
    held?.release();
    expect(await put(file, 1)).toBe(true);
  });

  test("are of no use when the file begins anew", async () => {
    const file = recentBlocks(memoryOf(2)).file();
    await put(file, 0);
    const before = file.shared;
    file.restart();
    expect(file.read(0)).toBeUndefined();
    expect(recentAt(file.shared, 0)).toBeUndefined();
    expect(file.shared.file).not.toBe(before.file);
    await put(file, 0);
    await put(file, 1);
    expect(firstByte(file, 0)).toBe(0);
  });

  test("share the memory with those of other files, whose blocks they never are", async () => {
    const all = recentBlocks(memoryOf(4));
    const [one, other] = [all.file(), all.file()];
    for (const number of [0, 1, 2, 3]) await put(one, number);
    hash(one, 4);
    await put(other, 7);
    expect(firstByte(other, 7 * blockBytes)).toBe(7);
    expect(firstByte(one, 7 * blockBytes)).toBeUndefined();
    expect(firstByte(one, 0)).toBeUndefined();
    expect(firstByte(one, blockBytes)).toBe(1);
    // With two files that grow, none has more than half.
    for (const number of [8, 9, 10, 11]) {
      hash(other, number);
      await put(other, number);
    }
    expect(firstByte(one, 3 * blockBytes)).toBe(3);
  });
});
