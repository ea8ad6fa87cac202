import { expect, test } from "bun:test";
import { answerMemory } from "../../../../src/model/serve/answer-memory.ts";

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
