import { describe, expect, test } from "bun:test";
import { lockPartsOf, lockPartsValue } from "../../../../src/model/parts/lock-parts.ts";
import { digest, entry } from "../../../support/model/fixtures.ts";

const hex = (digit: string): string => digit.repeat(64);

const said = {
  split: { by: "tree/1", least: 1048576, most: 536870912 },
  parts: [
    [hex("a"), 6],
    [hex("b"), 4, hex("d"), 3, "+bp2.zstd"],
  ],
  segments: [
    [0, 0, 6],
    [1, 0, 4],
  ],
};

const withParts = (parts: unknown) => entry("a", { "ocibundle.parts": parts });

test("the parts of a lock's entry are read, and written as they were", () => {
  const parts = lockPartsOf(withParts(said), "weights.lock");
  expect(parts?.parts).toEqual([
    { digest: digest("a"), size: 6, encoding: "none", stored: { digest: digest("a"), size: 6 } },
    {
      digest: digest("b"),
      size: 4,
      encoding: "bp2.zstd",
      stored: { digest: digest("d"), size: 3 },
    },
  ]);
  if (parts === undefined) throw new Error("there are parts");
  expect(JSON.stringify(lockPartsValue(parts))).toBe(JSON.stringify(said));
});

test("an entry need not have parts", () => {
  expect(lockPartsOf(entry("a"), "weights.lock")).toBeUndefined();
});

describe("refused are", () => {
  test.each<[string, unknown, string]>([
    ["a list", [], "split: "],
    [
      "segments that leave a gap",
      { ...said, segments: [[0, 0, 6]] },
      "have 6 bytes, the file has 10",
    ],
    ["an absent part", { ...said, segments: [[2, 0, 10]] }, "refers to part 2 of 2"],
    ["a digest with its algorithm", { ...said, parts: [[digest("a"), 10]] }, "must be 64 lower"],
    ["a form without a size", { ...said, parts: [[hex("a"), 10, hex("b")]] }, "must be a digest"],
    [
      "an unknown form",
      { ...said, parts: [[hex("a"), 10, hex("b"), 3, "+lz4"]] },
      "must be a digest",
    ],
    ["no rule", { ...said, split: {} }, "split.by"],
    ["a text", "tree/1", "ocibundle.parts: must be an object"],
  ])("%s", (_, parts, message) => {
    expect(() => lockPartsOf(withParts(parts), "weights.lock")).toThrow(message);
  });
});
