import { expect, test } from "bun:test";
import { describeError } from "../../../src/cli/error-report.ts";
import { OcibundleError } from "../../../src/errors.ts";
import { parseOpenFileLimit, withinOpenFiles } from "../../../src/runtime/open-files.ts";

test("the limit is the soft one", () => {
  const limits = [
    "Limit                     Soft Limit           Hard Limit           Units     ",
    "Max processes             31416                31416                processes ",
    "Max open files            1024                 1048576              files     ",
  ].join("\n");
  expect(parseOpenFileLimit(limits)).toBe(1024);
  expect(parseOpenFileLimit("Max open files   unlimited  unlimited files")).toBeUndefined();
  expect(parseOpenFileLimit("")).toBeUndefined();
});

test.each([
  [undefined, 16],
  [1_048_576, 16],
  [1024, 16],
  [104, 8],
  [64, 3],
  [40, 1],
  [20, 1],
])("with %p open files so many things are done at once: %d", (limit, expected) => {
  expect(withinOpenFiles(16, 8, limit)).toBe(expected);
});

test("who runs out of open files is told the limit and how to raise it, whatever was being done", () => {
  const cause = Object.assign(new Error("EMFILE: too many open files, open '/proc/self/fd/24/x'"), {
    code: "EMFILE",
  });
  for (const error of [
    cause,
    new OcibundleError("file", '"x": can\'t be written', { cause }),
    new OcibundleError("network", "pull x: y", { cause: new Error("z", { cause }) }),
  ]) {
    const report = describeError(error);
    expect(report).toMatchObject({ code: "system", exitCode: 7 });
    expect(report.message).toMatch(/^too many open files/);
    expect(report.hint).toContain("ulimit -n");
  }
});
