import { describe, expect, test } from "bun:test";
import {
  type ConnectionCount,
  connectionCount,
  countEvery,
} from "../../../../src/transfer/download/connection-count.ts";

/** Looks so many times, while bytes come at the rate that the connections give. */
function looks(
  count: ConnectionCount,
  times: number,
  rateOf: (connections: number) => number,
  isAwaited = true,
  from = { now: 0, bytes: 0 },
) {
  const counts: number[] = [];
  const at = { ...from };
  for (let time = 0; time < times; time += 1) {
    at.now += countEvery;
    at.bytes += rateOf(count.count) * countEvery;
    count.look(at.now, at.bytes, isAwaited);
    counts.push(count.count);
  }
  return { counts, at };
}

describe("the connections of a blob that is read while it comes", () => {
  test("become more as long as that brings more", () => {
    const { counts } = looks(connectionCount(8, 0, 0), 5, (connections) => 60_000 * connections);
    expect(counts).toEqual([2, 4, 8, 8, 8]);
  });

  test("stay as many as bring more, and are tried again later", () => {
    const count = connectionCount(8, 0, 0);
    const { counts } = looks(count, 14, (connections) => Math.min(2, connections) * 100_000);
    expect(counts.slice(0, 4)).toEqual([2, 4, 2, 2]);
    expect(counts.slice(4).filter((one) => one === 4)).toHaveLength(1);
  });

  test("become more where nothing comes", () => {
    expect(looks(connectionCount(8, 0, 0), 3, () => 0).counts).toEqual([2, 4, 8]);
  });

  test("become fewer, and never none, while those who read have enough", () => {
    const count = connectionCount(6, 0, 0);
    const { counts, at } = looks(count, 3, (connections) => 60_000 * connections);
    expect(counts).toEqual([2, 4, 6]);
    const after = looks(count, 4, () => 60_000, false, at);
    expect(after.counts).toEqual([3, 2, 1, 1]);
  });
});
