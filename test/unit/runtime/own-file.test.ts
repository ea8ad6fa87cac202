import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  watch,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  chmodAsNew,
  createFile,
  openOwnFile,
  replaceFile,
  replaceFileWith,
} from "../../../src/runtime/own-file.ts";
import { readOwnFile } from "../../../src/runtime/trusted-file.ts";

const isRoot = process.getuid?.() === 0;
const nobody = 65534;

let directory: string;
const path = (): string => join(directory, "file");
const other = (): string => join(directory, "other");

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-own-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const read = (): string | undefined => {
  try {
    const bytes = readOwnFile(path(), { maxBytes: 100 });
    return bytes && new TextDecoder().decode(bytes);
  } catch {
    return undefined;
  }
};

/** What somebody else, or a killed run, can have left under a name. */
const inTheWay = {
  "a file": () => writeFileSync(path(), "before"),
  "a second name of another file": () => linkSync(other(), path()),
  "a symbolic link to another file": () => symlinkSync(other(), path()),
  "a symbolic link to nothing": () => symlinkSync(join(directory, "missing"), path()),
  "a FIFO": () => expect(spawnSync("mkfifo", [path()]).status).toBe(0),
};

describe.each(Object.entries(inTheWay))("%s in the place of a file", (_name, put) => {
  beforeEach(() => {
    writeFileSync(other(), "other");
    put();
  });

  test("is not written to by who makes a new file", async () => {
    const failure = await createFile(path()).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "EEXIST" });
  });

  test("is replaced, and what it led to stays as it is", async () => {
    const file = await replaceFile(path());
    await file.writeFile("mine");
    await file.close();
    expect(readFileSync(path(), "utf8")).toBe("mine");
    expect(lstatSync(path()).isFile()).toBe(true);
    expect(readFileSync(other(), "utf8")).toBe("other");
    expect(existsSync(join(directory, "missing"))).toBe(false);
  });

  test("is replaced in one call as well", () => {
    replaceFileWith(path(), "mine", 0o600);
    expect(readFileSync(path(), "utf8")).toBe("mine");
    expect(statSync(path()).mode & 0o777).toBe(0o600);
    expect(readFileSync(other(), "utf8")).toBe("other");
  });

  test("is gone on with only when it is a file of this user's with one name", async () => {
    const file = await openOwnFile(path());
    expect(file !== undefined).toBe(_name === "a file");
    await file?.close();
  });

  test("is read only when it is a regular file, and never waited for", () => {
    const expected: Record<string, string> = {
      "a file": "before",
      "a second name of another file": "other",
    };
    expect(read()).toBe(expected[_name]);
  });
});

test("a directory in the place of a file is no file to go on with, and is not removed", async () => {
  mkdirSync(path());
  expect(await openOwnFile(path())).toBeUndefined();
  const failure = await replaceFile(path()).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(Error);
  expect(lstatSync(path()).isDirectory()).toBe(true);
});

test("a missing file is no file to go on with", async () => {
  expect(await openOwnFile(path())).toBeUndefined();
});

test.skipIf(!isRoot)(
  "another user's file is neither read nor gone on with (needs root)",
  async () => {
    writeFileSync(path(), "12345");
    chownSync(path(), nobody, nobody);
    expect(readOwnFile(path(), { maxBytes: 5 })).toBeUndefined();
    expect(await openOwnFile(path())).toBeUndefined();
  },
);

test.skipIf(process.platform !== "linux")(
  "a file gets the permissions of a new one, and no other name comes about meanwhile (needs Linux)",
  async () => {
    const file = await createFile(path(), 0o600);
    const names = new Set<string | null>();
    const seen = Promise.withResolvers<void>();
    const watcher = watch(directory, (_event, name) => {
      names.add(name);
      if (name === "sentinel") seen.resolve();
    });
    try {
      await chmodAsNew(file, path());
      // Events come in order: with this one all before it have come.
      writeFileSync(join(directory, "sentinel"), "");
      await seen.promise;
      expect([...names].toSorted()).toEqual(["file", "sentinel"]);
      const umask = process.umask();
      expect(lstatSync(path()).mode & 0o777).toBe(0o666 & ~umask);
    } finally {
      watcher.close();
      await file.close();
    }
  },
);
