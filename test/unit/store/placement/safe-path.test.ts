import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkDest } from "../../../../src/model/format/weight-dest.ts";
import { checkDests, destParts, findClash } from "../../../../src/store/placement/safe-path.ts";

describe("a dest", () => {
  test.each([
    ["/x", ["x"]],
    ["/src/weights/model.safetensors", ["src", "weights", "model.safetensors"]],
    ["/with space/ünïcode/…", ["with space", "ünïcode", "…"]],
    ["/-rf/..x/.hidden/$HOME", ["-rf", "..x", ".hidden", "$HOME"]],
    [`/${"x".repeat(255)}`, ["x".repeat(255)]],
    [
      `/${`${"x".repeat(255)}/`.repeat(15)}${"x".repeat(255)}`,
      Array.from({ length: 16 }, () => "x".repeat(255)),
    ],
  ])("%j is the names %j", (dest, parts) => {
    expect(destParts(dest, "linux")).toEqual(parts);
  });

  test.each([
    ["", "must be an absolute path"],
    ["x", "must be an absolute path"],
    ["../x", "must be an absolute path"],
    ["C:\\x", "must be an absolute path"],
    ["/", "an empty component"],
    ["//x", "an empty component"],
    ["/a//x", "an empty component"],
    ["/a/", "an empty component"],
    ["/../x", 'a ".." component'],
    ["/a/../../b", 'a ".." component'],
    ["/a/./b", 'a "." component'],
    ["/a\\..\\b", "a backslash"],
    ["/a\0b", "a NUL or control character"],
    ["/a\nb", "a NUL or control character"],
    ["/a\u0085b", "a NUL or control character"],
    ["/a\uD800", "well-formed Unicode"],
    [`/${"x".repeat(256)}`, "a component of more than 255 bytes"],
    [`/${"ü".repeat(128)}`, "a component of more than 255 bytes"],
    ["/src/.cog/ready", 'the component ".cog", which is reserved'],
    ["/src/.COG/ready", 'the component ".COG", which is reserved'],
    ["/.ocibundle-0123456789abcdef.tmp", "which is reserved"],
    [`/${"x".repeat(255)}${`/${"x".repeat(255)}`.repeat(15)}/`, "at most 4096 bytes"],
    ["/con", 'the component "con", a device on Windows'],
    ["/aux/x", "a device on Windows"],
    ["/a/NUL.txt", "a device on Windows"],
    ["/com1", "a device on Windows"],
    ["/LPT³.x", "a device on Windows"],
    ["/nul :x", "a device on Windows"],
    ["/C:/x", "a drive letter"],
    ["/c:", "a drive letter"],
    ["/a.", "ends with a dot or a space"],
    ["/a ", "ends with a dot or a space"],
    ["/a/ /b", "ends with a dot or a space"],
    ["/...", "ends with a dot or a space"],
    ["/a\u202Egpj.exe", "have an invisible or bidirectional control character"],
    ["/a\u2066b", "have an invisible or bidirectional control character"],
    ["/a\u200Bb", "have an invisible or bidirectional control character"],
    ["/a\u2028b", "have an invisible or bidirectional control character"],
    ["/a\u{E0041}b", "have an invisible or bidirectional control character"],
  ])("%j is refused: %s", (dest, rule) => {
    expect(() => destParts(dest, "linux")).toThrow(
      expect.objectContaining({ code: "file", message: expect.stringContaining(rule) }),
    );
  });

  test.each(["/a:stream", "/what?"])("%j is refused on Windows only", (dest) => {
    expect(() => destParts(dest, "win32")).toThrow("a character that Windows does not allow");
    expect(destParts(dest, "linux")).toEqual([dest.slice(1)]);
  });

  test.each(["/console", "/nully.txt", "/com10", "/a.b", "/\u{1F468}\u200D\u{1F469}"])(
    "%j is fine on Windows",
    (dest) => {
      expect(destParts(dest, "win32")).toEqual([dest.slice(1)]);
    },
  );
});

test("a dest of millions of parts is refused in no time, and shown cut", () => {
  const dest = "/a".repeat(1_900_000);
  const started = performance.now();
  expect(() => destParts(dest)).toThrow(/^dest "(?:\/a)+…" must have at most 4096 bytes$/);
  expect(checkDest(dest)?.length).toBeLessThan(200);
  expect(performance.now() - started).toBeLessThan(500);
});

test("a lock, a manifest and a pull judge dests alike", () => {
  for (const dest of ["/con", "/.cog/x", "/C:/x", "/a ", "/a\u202E", "/ok", "/$HOME", "x"]) {
    const fault = checkDest(dest);
    if (fault === undefined) expect(destParts(dest)).toEqual(dest.slice(1).split("/"));
    else expect(() => destParts(dest)).toThrow(`dest ${fault}`);
  }
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

  test.each([false, true])("the deepest there can be, by the thousand: in no time", (folded) => {
    const deep = "/a".repeat(2000);
    const dests = Array.from({ length: 1000 }, (_, index) => `${deep}/${index}`);
    const started = performance.now();
    expect(findClash(dests, folded)).toBeUndefined();
    expect(findClash([...dests, deep], folded)?.other).toBe(deep);
    expect(performance.now() - started).toBeLessThan(3000);
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

  test.skipIf(process.platform !== "linux")(
    "a path that the system would refuse half-way is refused before anything is made",
    async () => {
      const dest = `/${"d/".repeat(2000)}x`;
      await expect(checkDests(join(root, "r".repeat(200)), [dest])).rejects.toThrow(
        "bytes, the limit of this system is 4095",
      );
      expect(existsSync(root)).toBe(false);
    },
  );

  test("one used twice, and one under another, are refused", async () => {
    await expect(checkDests(root, ["/a", "/a"])).rejects.toThrow('dest "/a" is used twice');
    await expect(checkDests(root, ["/a", "/a/b"])).rejects.toThrow(
      'dest "/a/b" is below "/a", which is a file',
    );
  });

  test.skipIf(process.platform !== "linux")(
    "names that differ in case are fine where the file system tells them apart",
    async () => {
      expect((await checkDests(root, ["/a", "/A"])).size).toBe(2);
    },
  );
});
