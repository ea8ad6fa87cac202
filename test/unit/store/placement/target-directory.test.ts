import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openTargetDirectory } from "../../../../src/store/placement/target-directory.ts";

let base: string;
let root: string;
let outside: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "ocibundle-target-"));
  root = join(base, "root");
  outside = join(base, "outside");
  mkdirSync(outside);
});

afterEach(() => rmSync(base, { recursive: true }));

test("makes what is missing and gives paths in it", async () => {
  await using directory = await openTargetDirectory(root, ["src", "weights"]);
  expect(directory.path).toBe(join(root, "src", "weights"));
  writeFileSync(directory.at("x"), "1");
  expect(readFileSync(join(root, "src", "weights", "x"), "utf8")).toBe("1");
});

test("without parts it is the root itself, which may be reached by a link", async () => {
  symlinkSync(outside, root);
  await using directory = await openTargetDirectory(root, []);
  writeFileSync(directory.at("x"), "1");
  expect(existsSync(join(outside, "x"))).toBe(true);
});

test.each([[["a"]], [["a", "b"]], [["b", "a"]]])(
  "a link below the root is refused, wherever it is: %j",
  async (parts) => {
    mkdirSync(join(root, "b"), { recursive: true });
    symlinkSync(outside, join(root, "a"));
    symlinkSync(outside, join(root, "b", "a"));
    await expect(openTargetDirectory(root, parts)).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("is a symbolic link"),
    });
    expect(existsSync(join(outside, "b"))).toBe(false);
  },
);

test("a link back into the root is refused too, and a dangling one", async () => {
  mkdirSync(join(root, "real"), { recursive: true });
  symlinkSync("real", join(root, "inner"));
  symlinkSync("nowhere", join(root, "dangling"));
  for (const part of ["inner", "dangling"]) {
    await expect(openTargetDirectory(root, [part])).rejects.toMatchObject({ code: "conflict" });
  }
});

test("a file in a directory's place is named", async () => {
  mkdirSync(root);
  writeFileSync(join(root, "a"), "");
  await expect(openTargetDirectory(root, ["a", "b"])).rejects.toMatchObject({
    code: "conflict",
    message: `"${join(root, "a")}" is not a directory`,
  });
});

test("a root that can't be made is named", async () => {
  writeFileSync(root, "");
  await expect(openTargetDirectory(join(root, "x"), [])).rejects.toMatchObject({
    code: "conflict",
  });
});

test.skipIf(process.platform !== "linux")(
  "a link that takes the directory's place while it is open changes nothing",
  async () => {
    await using directory = await openTargetDirectory(root, ["a"]);
    renameSync(join(root, "a"), join(root, "moved"));
    symlinkSync(outside, join(root, "a"));
    writeFileSync(directory.at("x"), "1");
    expect(existsSync(join(outside, "x"))).toBe(false);
    expect(existsSync(join(root, "moved", "x"))).toBe(true);
  },
);
