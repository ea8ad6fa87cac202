import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockDirectory } from "../../../../src/model/pull/lock-directory.ts";
import { OcibundleError } from "../../../../src/errors.ts";
import { cacheAt } from "../../../../src/store/cache/cache.ts";
import type { TransferEvent } from "../../../../src/transfer/events.ts";

let root: string;
let events: TransferEvent[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "ocibundle-turn-"));
  events = [];
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

const turn = (signal = new AbortController().signal, dir = join(root, "models")) => {
  const markers = join(dir, ".cog");
  mkdirSync(markers, { recursive: true });
  const cache = cacheAt(join(root, "cache"));
  return lockDirectory(
    { cache, signal, emit: (event) => events.push(event) },
    dir,
    async () => markers,
  );
};

test("one at a time has a directory, and leaves nothing in it", async () => {
  const first = await turn();
  const second = turn();
  while (events.length === 0) await Bun.sleep(5);
  expect(events).toEqual([
    {
      type: "wait",
      milliseconds: 0,
      reason: `"${join(root, "models")}" is locked by process ${process.pid}`,
    },
  ]);
  first?.release();
  (await second)?.release();
  expect(readdirSync(join(root, "models"))).toEqual([".cog"]);
});

test("who waits can be interrupted", async () => {
  const first = await turn();
  const controller = new AbortController();
  const reason = new OcibundleError("interrupted", "interrupted");
  const second = turn(controller.signal);
  controller.abort(reason);
  await expect(second).rejects.toBe(reason);
  first?.release();
});

test("where the directory has no place for a lock, the markers' has", async () => {
  mkdirSync(join(root, "models/.ocibundle-lock"), { recursive: true });
  const first = await turn();
  expect(readdirSync(join(root, "models/.cog"))).toEqual(["lock"]);
  first?.release();
  expect(readdirSync(join(root, "models/.cog"))).toEqual([]);
});

test("and where neither has, the cache has; without that too, nobody waits", async () => {
  mkdirSync(join(root, "models/.ocibundle-lock"), { recursive: true });
  mkdirSync(join(root, "models/.cog/lock"), { recursive: true });
  const first = await turn();
  expect(readdirSync(join(root, "cache/locks")).length).toBe(1);
  first?.release();
  rmSync(join(root, "cache"), { recursive: true });
  writeFileSync(join(root, "cache"), "");
  expect(await turn()).toBeUndefined();
});
