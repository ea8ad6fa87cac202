import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type MaterializeOptions,
  materialize,
  temporaryName,
} from "../../../../src/store/placement/materialize.ts";
import {
  type TargetDirectory,
  openTargetDirectory,
} from "../../../../src/store/placement/target-directory.ts";
import { mountTmpfs, mountXfs } from "../../../support/store/small-disk.ts";

let base: string;
let source: string;
let directory: TargetDirectory;
const { signal } = new AbortController();

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), "ocibundle-materialize-"));
  source = join(base, "blob");
  writeFileSync(source, "weights");
  chmodSync(source, 0o444);
  directory = await openTargetDirectory(join(base, "out"), []);
});

afterEach(async () => {
  await directory.close();
  rmSync(base, { recursive: true });
});

const target = (name = "x"): string => join(directory.path, name);
const put = (options: Partial<MaterializeOptions> = {}, name = "x") =>
  materialize(source, directory, name, { signal, replace: false, ...options });
const newFileMode = (): number => {
  writeFileSync(join(base, "new"), "");
  return statSync(join(base, "new")).mode & 0o777;
};

describe("on one file system", () => {
  test("a hard link is the cached file itself, read-only", async () => {
    expect(await put({ ways: ["hard link"] })).toBe("hard link");
    expect(statSync(target()).ino).toBe(statSync(source).ino);
    expect(statSync(target()).mode & 0o777).toBe(0o444);
    expect(readdirSync(directory.path)).toEqual(["x"]);
  });

  test("a copy is a file of its own, with the permissions of a new file", async () => {
    let bytes = 0;
    expect(await put({ ways: ["copy"], onBytes: (more) => (bytes += more) })).toBe("copy");
    expect(readFileSync(target(), "utf8")).toBe("weights");
    expect(statSync(target()).ino).not.toBe(statSync(source).ino);
    expect(statSync(target()).mode & 0o777).toBe(newFileMode());
    expect(bytes).toBe(7);
  });

  test("a way that does not work there is followed by the next", async () => {
    const way = await put();
    expect(["reflink", "hard link"]).toContain(way);
    expect(readFileSync(target(), "utf8")).toBe("weights");
    expect(readdirSync(directory.path)).toEqual(["x"]);
  });

  test("an empty blob is an empty file by every way", async () => {
    rmSync(source);
    writeFileSync(source, "");
    for (const way of ["hard link", "copy"] as const) {
      expect(await put({ ways: [way], replace: true })).toBe(way);
      expect(statSync(target()).size).toBe(0);
    }
  });
});

describe("what is there already", () => {
  test.each(["hard link", "copy"] as const)("is not replaced unasked by %s", async (way) => {
    writeFileSync(target(), "mine");
    await expect(put({ ways: [way] })).rejects.toMatchObject({
      code: "conflict",
      message: `"${target()}" already exists`,
    });
    expect(readFileSync(target(), "utf8")).toBe("mine");
    expect(readdirSync(directory.path)).toEqual(["x"]);
  });

  test.each(["hard link", "copy"] as const)("is replaced when asked by %s", async (way) => {
    writeFileSync(target(), "mine");
    await put({ ways: [way], replace: true });
    expect(readFileSync(target(), "utf8")).toBe("weights");
  });

  test("is replaced also where it is the same file, and no second name stays", async () => {
    await put({ ways: ["hard link"] });
    await put({ ways: ["hard link"], replace: true });
    expect(readdirSync(directory.path)).toEqual(["x"]);
    expect(statSync(source).nlink).toBe(2);
  });

  test("is not written through where it is a link", async () => {
    const other = join(base, "other");
    writeFileSync(other, "mine");
    symlinkSync(other, target());
    await expect(put()).rejects.toMatchObject({ code: "conflict" });
    await put({ replace: true, ways: ["copy"] });
    expect(readFileSync(other, "utf8")).toBe("mine");
    expect(lstatSync(target()).isFile()).toBe(true);
  });

  test("is never a directory that is replaced", async () => {
    mkdirSync(target());
    await expect(put({ replace: true })).rejects.toMatchObject({ code: "conflict" });
    expect(readdirSync(directory.path)).toEqual(["x"]);
  });

  test("of an earlier run, half-written, is removed", async () => {
    writeFileSync(target(temporaryName("x")), "half");
    await put();
    expect(readdirSync(directory.path)).toEqual(["x"]);
  });

  test("of an earlier run is not followed where it became a link", async () => {
    const other = join(base, "other");
    writeFileSync(other, "mine");
    symlinkSync(other, target(temporaryName("x")));
    await put({ ways: ["copy"] });
    expect(readFileSync(other, "utf8")).toBe("mine");
  });
});

test("a cached file that is gone says so", async () => {
  rmSync(source);
  await expect(put()).rejects.toMatchObject({ code: "not_found" });
  expect(readdirSync(directory.path)).toEqual([]);
});

test("an abort leaves nothing", async () => {
  chmodSync(source, 0o644);
  truncateSync(source, 8 * 1024 * 1024);
  const controller = new AbortController();
  const reason = new Error("stop");
  const putting = put({
    ways: ["copy"],
    signal: controller.signal,
    onBytes: () => controller.abort(reason),
  });
  await expect(putting).rejects.toBe(reason);
  expect(readdirSync(directory.path)).toEqual([]);
});

test("a name as long as the file system allows has a temporary one that it allows too", async () => {
  const name = "x".repeat(255);
  await put({ ways: ["copy"] }, name);
  expect(existsSync(target(name))).toBe(true);
});

describe("across file systems", () => {
  const disk = mountTmpfs(4 * 1024 * 1024);
  afterAll(() => disk?.remove());

  test.skipIf(disk === undefined)("it is a copy", async () => {
    await using other = await openTargetDirectory(join(disk?.path ?? "", "out"), []);
    expect(await materialize(source, other, "x", { signal, replace: false })).toBe("copy");
    expect(readFileSync(join(other.path, "x"), "utf8")).toBe("weights");
  });

  test.skipIf(disk === undefined)(
    "a disk that fills up is named, and nothing is left",
    async () => {
      chmodSync(source, 0o644);
      truncateSync(source, 8 * 1024 * 1024);
      await using other = await openTargetDirectory(join(disk?.path ?? "", "full"), []);
      await expect(
        materialize(source, other, "x", { signal, replace: false }),
      ).rejects.toMatchObject({
        code: "system",
        message: expect.stringContaining("no space left"),
      });
      expect(readdirSync(other.path)).toEqual([]);
    },
  );
});

describe("where the file system knows reflinks", () => {
  const disk = mountXfs();
  afterAll(() => disk?.remove());

  test.skipIf(disk === undefined)(
    "it is one: a file of its own, writable, that leaves the cache as it is",
    async () => {
      const blob = join(disk?.path ?? "", "blob");
      writeFileSync(blob, "weights".repeat(10_000));
      chmodSync(blob, 0o444);
      await using other = await openTargetDirectory(join(disk?.path ?? "", "out"), []);
      expect(await materialize(blob, other, "x", { signal, replace: false })).toBe("reflink");
      const path = join(other.path, "x");
      expect(statSync(path).mode & 0o777).toBe(newFileMode());
      writeFileSync(path, "edited");
      expect(readFileSync(blob, "utf8")).toBe("weights".repeat(10_000));
      expect(readdirSync(other.path)).toEqual(["x"]);
    },
  );
});
