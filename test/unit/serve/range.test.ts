import { describe, expect, test } from "bun:test";
import { askedRange } from "../../../src/serve/range.ts";

const part = (start: number, end: number) => ({ kind: "part" as const, range: { start, end } });

describe("a Range header", () => {
  test.each([
    ["bytes=0-0", 10, part(0, 1)],
    ["bytes=2-", 10, part(2, 10)],
    ["bytes=2-99", 10, part(2, 10)],
    ["bytes=2-9223372036854775807", 10, part(2, 10)],
    [`bytes=2-${"9".repeat(400)}`, 10, part(2, 10)],
    ["bytes=99999999999999999999-", 10, { kind: "none" as const }],
    ["bytes=-3", 10, part(7, 10)],
    ["bytes=-99", 10, part(0, 10)],
    ["Bytes = 1 - 2", 10, part(1, 3)],
    ["bytes=10-", 10, { kind: "none" as const }],
    ["bytes=-0", 10, { kind: "none" as const }],
    ["bytes=0-0", 0, { kind: "none" as const }],
  ])("%s of %d bytes", (header, size, asked) => {
    expect(askedRange(header, size)).toEqual(asked);
  });

  test.each([
    undefined,
    "",
    "bytes=",
    "bytes=-",
    "bytes=3-1",
    "bytes=0-1,3-4",
    "lines=1-2",
    "bytes=a-b",
  ])("that is not understood asks for the whole: %p", (header) => {
    expect(askedRange(header, 10)).toEqual({ kind: "whole" });
  });
});
