import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WeightEntry } from "../../../../src/model/format/weight-entry.ts";
import { wantedFiles } from "../../../../src/model/pull/pull-plan.ts";
import { fsyncPulled } from "../../../../src/model/pull/fsync.ts";
import { temporaryName } from "../../../../src/store/placement/materialize.ts";
import { entry } from "../../../support/model/fixtures.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "ocibundle-settle-"));
  mkdirSync(join(root, "src/weights"), { recursive: true });
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

const put = (...names: string[]): void => {
  for (const name of names) writeFileSync(join(root, name), "");
};

const files = () => {
  const one = entry("x") as WeightEntry;
  return wantedFiles(root, [one], new Map([[one.dest, one.dest.slice(1).split("/")]]));
};

const part = temporaryName("x");

test("what killed runs have left is removed beside the files and in the root, and nothing else", async () => {
  put("src/weights/x", `src/weights/${part}`, `src/weights/${part}.journal`);
  put(`src/weights/${part}.journal.new`, `src/weights/${part}.blob`, "src/weights/.ocibundle");
  put(".ocibundle-case-1", ".ocibundle-lock", ".ocibundle-lock.probe-1-2", ".ocibundle-1.tmp");
  put(`src/${part}`);
  await fsyncPulled(root, files(), { kept: [], alone: true });
  expect(readdirSync(join(root, "src/weights")).toSorted()).toEqual([".ocibundle", "x"]);
  // The lock is held; a layout's own temporary files, and directories without weights, are others' business.
  expect(readdirSync(root).toSorted()).toEqual([".ocibundle-1.tmp", ".ocibundle-lock", "src"]);
  expect(readdirSync(join(root, "src")).toSorted()).toEqual([part, "weights"]);
});

test("where others may be at work, their parts stay", async () => {
  put("src/weights/x", `src/weights/${part}`);
  await fsyncPulled(root, files(), { kept: files(), alone: false });
  expect(readdirSync(join(root, "src/weights")).toSorted()).toEqual([part, "x"]);
});

test("a kept file that is gone is an error, and no reason to say that all is ready", async () => {
  const kept = files();
  await expect(fsyncPulled(root, kept, { kept, alone: true })).rejects.toMatchObject({
    code: "file",
  });
});
