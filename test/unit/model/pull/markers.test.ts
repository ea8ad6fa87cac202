import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openMarkers } from "../../../../src/model/pull/markers.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "ocibundle-markers-"));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

const open = (...dests: string[]) =>
  openMarkers(
    root,
    dests.map((dest) => dest.split("/")),
  );
const state = (directory = "w"): Record<string, string> =>
  Object.fromEntries(
    readdirSync(join(root, directory, ".cog")).map((name) => [
      name,
      readFileSync(join(root, directory, ".cog", name), "utf8"),
    ]),
  );

test("markers lie in the directory that all files have in common", async () => {
  for (const [dests, directory] of [
    [["a/b/one", "a/b/two"], "a/b"],
    [["a/b/one", "a/c/two"], "a"],
    [["a/b/c/one", "a/b/two"], "a/b"],
    [["a/b/one", "a/b/c/two"], "a/b"],
    [["a/one", "b/two"], ""],
    [["one"], ""],
  ] as const) {
    const markers = open(...dests);
    expect(markers.path).toBe(join(root, directory, ".cog"));
    expect(existsSync(markers.path)).toBe(false);
    expect(await markers.make()).toBe(markers.path);
    expect(existsSync(markers.path)).toBe(true);
    await markers.close();
    rmSync(markers.path, { recursive: true });
  }
});

test("a weight with a target of its own has them there too, with its own digest", async () => {
  const dests = ["w/llama/sub/x", "w/clip/y"].map((dest) => dest.split("/"));
  const targets = [
    { parts: ["w", "llama"], digest: "sha256:a" },
    { parts: ["w", "clip"], digest: "sha256:b" },
  ];
  const markers = openMarkers(root, dests, targets);
  expect(markers.path).toBe(join(root, "w/.cog"));
  await markers.downloading("sha256:1");
  expect(state("w/llama")).toEqual({ downloading: "sha256:a\n" });
  await markers.done("sha256:1");
  expect(state()).toEqual({ ready: "sha256:1\n" });
  expect(state("w/llama")).toEqual({ ready: "sha256:a\n" });
  expect(state("w/clip")).toEqual({ ready: "sha256:b\n" });
  expect(await markers.ready()).toBe("sha256:1");
  rmSync(join(root, "w/clip/.cog/ready"));
  expect(await markers.ready()).toBeUndefined();
  await markers.failed("no space left on device");
  for (const directory of ["w", "w/llama", "w/clip"]) {
    expect(state(directory)).toEqual({ failed: "no space left on device\n" });
  }
  await markers.close();
});

test("the target of a single weight has them, however deep its files lie", async () => {
  const target = { parts: ["w"], digest: "sha256:a" };
  const markers = openMarkers(root, [["w", "sub", "x"]], [target]);
  expect(markers.path).toBe(join(root, "w/.cog"));
  await markers.done("sha256:a");
  expect(existsSync(join(root, "w/sub"))).toBe(false);
  await markers.close();
});

test("one stands at a time, with what it has to say", async () => {
  const markers = open("w/x");
  await markers.downloading("sha256:1");
  expect(state()).toEqual({ downloading: "sha256:1\n" });
  expect(await markers.ready()).toBeUndefined();
  await markers.done("sha256:1");
  expect(state()).toEqual({ ready: "sha256:1\n" });
  expect(await markers.ready()).toBe("sha256:1");
  await markers.downloading("sha256:2");
  expect(state()).toEqual({ downloading: "sha256:2\n" });
  await markers.failed("no space left on device");
  expect(state()).toEqual({ failed: "no space left on device\n" });
  await markers.done("sha256:2");
  await markers.failed("another is in the way");
  expect(state()).toEqual({ failed: "another is in the way\n" });
  await markers.close();
});

test("what another run is writing stays, where there may be one", async () => {
  const markers = open("w/x");
  await markers.make();
  writeFileSync(join(root, "w/.cog/failed-0123.tmp"), "");
  await markers.done("sha256:1");
  expect(state()).toEqual({ ready: "sha256:1\n", "failed-0123.tmp": "" });
  await markers.close();
});

test("a run that was killed between two steps was not ready", async () => {
  const markers = open("w/x");
  markers.alone();
  await markers.done("sha256:1");
  for (const left of ["downloading", "failed", "ready.tmp", "failed-0123.tmp"]) {
    writeFileSync(join(root, "w/.cog", left), "");
    expect(await markers.ready()).toBeUndefined();
    await markers.done("sha256:1");
    expect(state()).toEqual({ ready: "sha256:1\n" });
  }
  // What others put there is theirs.
  writeFileSync(join(root, "w/.cog/notes"), "");
  expect(await markers.ready()).toBe("sha256:1");
  await markers.close();
});

test("what can't be written is named, and a failure to say that it failed is not one more", async () => {
  mkdirSync(join(root, "w/.cog/ready"), { recursive: true });
  writeFileSync(join(root, "w/.cog/ready/file"), "");
  const markers = open("w/x");
  await expect(markers.done("sha256:1")).rejects.toMatchObject({
    code: "conflict",
    message: expect.stringContaining(`"${join(root, "w/.cog/ready")}": cannot write`),
  });
  rmSync(join(root, "w/.cog"), { recursive: true });
  await markers.failed("anything");
  await markers.close();
  chmodSync(join(root, "w"), 0o755);
});

test("nobody is left to wait where the message of a failure can't be written", async () => {
  const markers = open("w/x");
  markers.alone();
  await markers.downloading("sha256:1");
  // As on a full disk, nothing new can be written.
  mkdirSync(join(root, "w/.cog/failed.tmp/x"), { recursive: true });
  expect(await markers.failed("no space left on device")).toBe(true);
  expect(readdirSync(join(root, "w/.cog")).toSorted()).toEqual(["failed", "failed.tmp"]);
  await markers.close();
});

test("a failure before anything was said makes no directory", async () => {
  const markers = open("w/x");
  expect(await markers.failed("the disk is too full")).toBe(false);
  await markers.close();
  expect(readdirSync(root)).toEqual([]);
  mkdirSync(join(root, "w/.cog"), { recursive: true });
  const again = open("w/x");
  expect(await again.failed("the disk is too full")).toBe(true);
  expect(state()).toEqual({ failed: "the disk is too full\n" });
  await again.close();
});
