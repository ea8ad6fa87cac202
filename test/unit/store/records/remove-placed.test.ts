import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { tryLockFile } from "../../../../src/store/locks/lock-file.ts";
import { noteHolder } from "../../../../src/store/locks/lock-holder.ts";
import { asPlaced, type Placed } from "../../../../src/store/records/placed.ts";
import { removeSurveyed, survey } from "../../../../src/store/records/remove-placed.ts";
import { temporaryDirectory, writeFiles } from "../../../support/temporary-directory.ts";

test("a lock that is held while its directory is emptied leaves nothing there", async () => {
  const dir = await temporaryDirectory();
  await writeFiles(dir, { weights: "pulled" });
  const placed = await asPlaced(dir, "weights");
  if (placed === undefined) throw new Error("nothing was placed");
  const lock = tryLockFile(join(dir, ".ocibundle-in-use"));
  if (lock === undefined) throw new Error("the lock is not to be had");
  const { signal } = new AbortController();
  const pulls = [{ source: "registry.example/acme", digest: "", files: [placed] }];
  const found = await survey({ version: 1, dir, hub: false, pulls }, signal);

  // As a lock does that is held for longer than a moment.
  noteHolder(lock.path);
  await removeSurveyed(dir, found, { locks: [lock], signal });
  lock.release();
  expect(await readdir(dir)).toEqual([]);
});

test("what a killed run has put aside is not taken for ocibundle's own", async () => {
  const dir = await temporaryDirectory();
  const { signal } = new AbortController();
  const placed: Placed = { version: 1, dir, hub: false, pulls: [] };
  await writeFiles(dir, { ".ocibundle-sync/new/src/weights": "half" });
  expect((await survey(placed, signal)).foreign).toBeUndefined();
  await writeFiles(dir, { ".ocibundle-sync/old/src/.ocibundle-held/llm/notes": "somebody's" });
  expect((await survey(placed, signal)).foreign).toBe(".ocibundle-sync");
});
