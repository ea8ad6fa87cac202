import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { filePlacer } from "../../../src/harness/registry/storage/place-file.ts";
import { placeFiles } from "../../../src/runtime/place-job.ts";
import type { FileToPlace, Placed } from "../../../src/runtime/worker-protocol.ts";
import { errorOf } from "../../support/failure.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-place-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const toPlace = (name: string): FileToPlace => ({
  path: join(directory, name),
  to: join(directory, "blobs", name.slice(0, 1), name),
  mark: join(directory, "links", name),
});

test("files get their names and their marks, in directories that are made", () => {
  const files = ["a1", "a2", "b1"].map(toPlace);
  for (const { path } of files) writeFileSync(path, path);
  expect(placeFiles(files)).toEqual([undefined, undefined, undefined]);
  for (const { path, to, mark } of files) {
    expect(existsSync(path)).toBe(false);
    expect(readFileSync(to, "utf8")).toBe(path);
    expect(readFileSync(mark, "utf8")).toBe("");
  }
});

test("a mark that is there stays", () => {
  const file = toPlace("c1");
  writeFileSync(file.path, "");
  writeFileSync(file.mark, "before");
  expect(placeFiles([file])).toEqual([undefined]);
  expect(readFileSync(file.mark, "utf8")).toBe("before");
});

test("marks stay of their own when others are removed, and where the file that they are names of is another now", () => {
  const files = ["g1", "g2", "g3", "g4"].map(toPlace);
  for (const { path } of files) writeFileSync(path, "");
  const [first, second, third, fourth] = files;
  if (first === undefined || second === undefined || third === undefined || !fourth)
    throw new Error();
  placeFiles([first, second]);
  rmSync(first.mark);
  placeFiles([third]);
  expect([first, second, third].map(({ mark }) => existsSync(mark))).toEqual([false, true, true]);
  for (const { mark } of [second, third]) {
    rmSync(mark);
    writeFileSync(mark, "something else");
  }
  placeFiles([fourth]);
  expect(readFileSync(fourth.mark, "utf8")).toBe("");
});

test("what fails of one leaves the others alone, and has no mark", () => {
  const [missing, blocked, good] = [toPlace("d1"), toPlace("e1"), toPlace("f1")];
  if (missing === undefined || blocked === undefined || good === undefined) throw new Error();
  for (const { path } of [blocked, good]) writeFileSync(path, "");
  mkdirSync(blocked.to, { recursive: true });
  const results = placeFiles([missing, blocked, good]);
  expect(results.map((result) => result?.code)).toEqual(["ENOENT", "EISDIR", undefined]);
  expect([missing, blocked].map(({ mark }) => existsSync(mark))).toEqual([false, false]);
  expect(existsSync(good.to)).toBe(true);
});

test("files that come while others are placed go together after them, and each is told its own failure", async () => {
  const batches: string[][] = [];
  const placer = filePlacer(() => ({
    async place(files): Promise<Placed[]> {
      batches.push(files.map(({ path }) => path));
      await Promise.resolve();
      return files.map(({ path }) =>
        path.endsWith("b") ? { message: "no space", code: "ENOSPC" } : undefined,
      );
    },
  }));
  const of = (name: string) => placer.place({ path: name, to: name, mark: name });
  const first = of("a");
  const failing = errorOf(of("b"));
  await Promise.all([first, of("c")]);
  expect(await failing).toMatchObject({ message: "no space", code: "ENOSPC" });
  expect(batches).toEqual([["a"], ["b", "c"]]);
});

test("all of a batch fail where no thread can be had", async () => {
  const placer = filePlacer(() => {
    throw new Error("no thread");
  });
  const failures = await Promise.all(
    ["a", "b"].map((name) => errorOf(placer.place({ path: name, to: name, mark: name }))),
  );
  expect(failures.map(({ message }) => message)).toEqual(["no thread", "no thread"]);
});

test("the thread is started ahead of the first file, once", async () => {
  const batches: number[] = [];
  let started = 0;
  const placer = filePlacer(() => {
    started += 1;
    return {
      place(files): Promise<Placed[]> {
        batches.push(files.length);
        return Promise.resolve(files.map(() => undefined));
      },
    };
  });
  placer.start();
  placer.start();
  await placer.place({ path: "a", to: "a", mark: "a" });
  expect({ started, batches }).toEqual({ started: 1, batches: [0, 1] });
});
