import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkDests, destParts, findClash } from "../../../../src/store/placement/safe-path.ts";

describe("a dest", () => {
  test.each([
    ["/x", ["x"]],
    ["/src/weights/model.safetensors", ["src", "weights", "model.safetensors"]],
    ["/with space/ünïcode/…", ["with space", "ünïcode", "…"]],
    ["/-rf/..x/.hidden/...", ["-rf", "..x", ".hidden", "..."]],
    [`/${"x".repeat(255)}`, ["x".repeat(255)]],
    ["/aux/con.bin", ["aux", "con.bin"]],
  ])("%j is the names %j", (dest, parts) => {
    expect(destParts(dest, "linux")).toEqual(parts);
  });

  test.each([
    ["", "is empty"],
    ["x", "is not absolute"],
    ["../x", "is not absolute"],
    ["C:\\x", "is not absolute"],
    ["/", "has an empty part"],
    ["//x", "has an empty part"],
    ["/a//x", "has an empty part"],
    ["/a/", "has an empty part"],
    ["/../x", 'has the part ".."'],
    ["/a/../../b", 'has the part ".."'],
    ["/a/./b", 'has the part "."'],
    ["/a\\..\\b", "has a backslash"],
    ["/a\0b", "has a control character"],
    ["/a\nb", "has a control character"],
    ["/a\u0085b", "has a control character"],
    ["/a\uD800", "is not valid Unicode"],
    [`/${"x".repeat(256)}`, "has a part of more than 255 bytes"],
    [`/${"ü".repeat(128)}`, "has a part of more than 255 bytes"],
    ["/src/.cog/ready", 'has the reserved part ".cog"'],
    ["/src/.COG/ready", 'has the reserved part ".COG"'],
    ["/.ocibundle-0123456789abcdef.tmp", "has the reserved part"],
  ])("%j is refused: it %s", (dest, rule) => {
    expect(() => destParts(dest, "linux")).toThrow(
      expect.objectContaining({ code: "file", message: expect.stringContaining(rule) }),
    );
  });

  test.each([
    ["/con", "a device of Windows"],
    ["/a/NUL.txt", "a device of Windows"],
    ["/com1", "a device of Windows"],
    ["/LPT³.x", "a device of Windows"],
    ["/a:stream", "a character that Windows does not allow"],
    ["/what?", "a character that Windows does not allow"],
    ["/a.", "ends with a dot or a space"],
    ["/a ", "ends with a dot or a space"],
  ])("%j is refused on Windows: it has %s", (dest, rule) => {
    expect(() => destParts(dest, "win32")).toThrow(rule);
    expect(destParts(dest, "linux")).toHaveLength(dest.split("/").length - 1);
  });

  test.each(["/console", "/nully.txt", "/com10", "/a.b"])("%j is fine on Windows", (dest) => {
    expect(destParts(dest, "win32")).toEqual([dest.slice(1)]);
  });
});

describe("two dests clash", () => {
  test.each([
    [["/a", "/b", "/a"], { dest: "/a", other: "/a", kind: "same" }],
    [["/a/b", "/a"], { dest: "/a/b", other: "/a", kind: "under" }],
    [["/a", "/a/b/c"], { dest: "/a/b/c", other: "/a", kind: "under" }],
  ] as const)("%j", (dests, clash) => {
    expect(findClash(dests)).toEqual(clash);
  });

  test.each([[["/a", "/A"]], [["/\u00E9", "/e\u0301"]], [["/A/b", "/a"]]])(
    "%j on a file system that folds names only",
    (dests) => {
      expect(findClash(dests)).toBeUndefined();
      expect(findClash(dests, true)).toBeDefined();
    },
  );

  test("not where one name only begins like the other", () => {
    expect(findClash(["/a", "/ab", "/a.b", "/b/a"], true)).toBeUndefined();
  });

  test("ten thousand are checked in no time", () => {
    const dests = Array.from(
      { length: 10_000 },
      (_, index) => `/src/weights/${index % 100}/${index}`,
    );
    const started = performance.now();
    expect(findClash(dests, true)).toBeUndefined();
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe("all dests of a pull", () => {
  let root: string;
  beforeEach(() => {
    root = join(mkdtempSync(join(tmpdir(), "ocibundle-dests-")), "root");
  });
  afterEach(() => rmSync(join(root, ".."), { recursive: true }));

  test("each has its parts, and nothing is tried out on disk without need", async () => {
    expect(await checkDests(root, ["/a/b", "/c"])).toEqual(
      new Map([
        ["/a/b", ["a", "b"]],
        ["/c", ["c"]],
      ]),
    );
    expect(existsSync(root)).toBe(false);
  });

  test("one used twice, and one under another, are refused", async () => {
    await expect(checkDests(root, ["/a", "/a"])).rejects.toThrow('dest "/a" is used twice');
    await expect(checkDests(root, ["/a", "/a/b"])).rejects.toThrow(
      'dest "/a/b" lies under "/a", which is a file',
    );
  });

  test.skipIf(process.platform !== "linux")(
    "names that differ in case are fine where the file system tells them apart",
    async () => {
      expect((await checkDests(root, ["/a", "/A"])).size).toBe(2);
    },
  );
});
