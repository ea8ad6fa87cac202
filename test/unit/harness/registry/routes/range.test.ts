import { describe, expect, test } from "bun:test";
import { chunkRange, downloadRange } from "../../../../../src/harness/registry/routes/range.ts";

describe("the Range of a download of 100 bytes", () => {
  test.each([
    ["bytes=0-9", { start: 0, end: 10 }],
    ["bytes=90-", { start: 90, end: 100 }],
    ["bytes=90-500", { start: 90, end: 100 }],
    ["bytes=-10", { start: 90, end: 100 }],
    ["bytes=-500", { start: 0, end: 100 }],
    ["bytes=99-99", { start: 99, end: 100 }],
    ["bytes=100-", "unsatisfiable"],
    ["bytes=100-200", "unsatisfiable"],
    ["bytes=-0", "unsatisfiable"],
    ["bytes=9-0", "unsatisfiable"],
    [null, undefined],
    ["", undefined],
    ["bytes=-", undefined],
    ["bytes=0-1,5-6", undefined],
    ["bytes=a-b", undefined],
    ["items=0-9", undefined],
  ] as const)("%p", (header, range) => {
    expect(downloadRange(header, 100)).toEqual(range);
  });

  test("nothing of an empty blob lies in a range", () => {
    expect(downloadRange("bytes=0-0", 0)).toBe("unsatisfiable");
    expect(downloadRange("bytes=0-", 0)).toBe("unsatisfiable");
  });
});

describe("the Content-Range of a chunk", () => {
  test.each([
    ["0-9", { start: 0, end: 10 }],
    ["10-10", { start: 10, end: 11 }],
    // Some clients write it as for a response.
    ["bytes 0-9/100", { start: 0, end: 10 }],
    ["bytes=0-9", { start: 0, end: 10 }],
    ["9-0", undefined],
    ["0-", undefined],
    ["-5", undefined],
    ["", undefined],
    ["0-99999999999999999999", undefined],
  ] as const)("%p", (header, range) => {
    expect(chunkRange(header)).toEqual(range);
  });
});
