import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { linkSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../../../src/oci/digest.ts";
import type { BlobAddress } from "../../../../src/store/cache/find-blob.ts";
import { listBlobs, listUnfinished } from "../../../../src/store/cache/list.ts";
import { type PruneOptions, pruneCache } from "../../../../src/store/cache/prune.ts";
import { type CacheFixture, cacheFixture } from "../../../support/store/cache-fixture.ts";
import { startChild } from "../../../support/store/cache-process.ts";

let fixture: CacheFixture;
const { signal } = new AbortController();
const now = Date.now();
const day = 24 * 60 * 60 * 1000;

beforeEach(() => {
  fixture = cacheFixture();
});

afterEach(() => fixture.remove());

const prune = (options: Partial<PruneOptions>) =>
  pruneCache(fixture.cache, { dryRun: false, now, signal, ...options });

/** A blob of 10 bytes that was last used some days ago. */
async function putOld(name: string, days: number): Promise<BlobAddress> {
  const blob = await fixture.put(name.padEnd(10, "."), { name });
  const record = join(fixture.cache.recordsDir, "blobs", blob.digest.replace(":", "-"));
  const time = new Date(now - days * day);
  utimesSync(record, time, time);
  return blob;
}

const names = (blobs: readonly { names: readonly string[] }[]) =>
  blobs.map((blob) => blob.names[0]);

describe("listing", () => {
  test("shows what was used last first, and nothing where there is no cache", async () => {
    expect(await listBlobs(fixture.cache)).toEqual([]);
    await putOld("old", 9);
    await putOld("new", 1);
    await putOld("older", 10);
    expect(names(await listBlobs(fixture.cache))).toEqual(["new", "old", "older"]);
  });

  test("leaves out what is no blob by its name", async () => {
    await putOld("a", 1);
    writeFileSync(join(fixture.cache.root, "blobs", "sha256", "README"), "");
    expect(await listBlobs(fixture.cache)).toHaveLength(1);
  });
});

describe("pruning", () => {
  test("by age removes what was not used for longer, and only that", async () => {
    await putOld("old", 9);
    await putOld("new", 1);
    const report = await prune({ olderThan: 5 * day });
    expect(names(report.removed)).toEqual(["old"]);
    expect(report).toMatchObject({ freed: 10, kept: { blobs: 1, bytes: 10 } });
    expect(names(await listBlobs(fixture.cache))).toEqual(["new"]);
    expect(fixture.files("records")).toHaveLength(1);
  });

  test("by size removes what was used longest ago until the rest fits", async () => {
    for (const [name, days] of [
      ["a", 3],
      ["b", 1],
      ["c", 4],
      ["d", 2],
    ] as const) {
      await putOld(name, days);
    }
    expect(names((await prune({ maxSize: 25 })).removed)).toEqual(["c", "a"]);
    expect((await prune({ maxSize: 20 })).removed).toEqual([]);
    expect(names((await prune({ maxSize: 0 })).removed)).toEqual(["d", "b"]);
    expect(fixture.files("blobs")).toEqual(["sha256"]);
  });

  test("without a limit removes no blob", async () => {
    await putOld("a", 1000);
    expect(await prune({})).toMatchObject({ removed: [], kept: { blobs: 1 } });
  });

  test("only says what it would do when asked to", async () => {
    await putOld("a", 3);
    const report = await prune({ maxSize: 0, dryRun: true });
    expect(names(report.removed)).toEqual(["a"]);
    expect(await listBlobs(fixture.cache)).toHaveLength(1);
    expect(fixture.files("locks")).toEqual([]);
  });

  test("keeps what another process uses, and removes the next in turn", async () => {
    const used = await putOld("used", 9);
    await putOld("idle", 8);
    await putOld("new", 1);
    const lock = join(fixture.cache.root, "locks", used.digest.replace(":", "-"));
    const child = startChild(["lock", lock, "shared"]);
    await child.printed("locked");
    const report = await prune({ maxSize: 20 });
    expect(names(report.inUse)).toEqual(["used"]);
    expect(names(report.removed)).toEqual(["idle"]);
    child.process.stdin?.end();
    await child.result();
    expect(names((await prune({ maxSize: 10 })).removed)).toEqual(["used"]);
  });

  test("keeps what is in use as hard links, and does not count it", async () => {
    const { digest } = await putOld("linked", 9);
    await putOld("alone", 1);
    linkSync(fixture.cache.blobPath(digest), join(fixture.directory, "target"));
    expect(names((await prune({ olderThan: day * 5 })).removed)).toEqual([]);
    const report = await prune({ maxSize: 10 });
    expect(report.removed).toEqual([]);
    expect(names(report.linked)).toEqual(["linked"]);
  });

  test("removes unfinished blobs with their journals by the same rules", async () => {
    const { cache } = fixture;
    await putOld("new", 1);
    const digest = digestOf("unfinished");
    const old = new Date(now - 9 * day);
    for (const path of [cache.partialPath(digest), cache.journalPath(digest)]) {
      writeFileSync(path, "12345");
      utimesSync(path, old, old);
    }
    expect(await listUnfinished(cache)).toEqual([{ digest, size: 10, lastUsed: old }]);
    const lock = await cache.tryLock(digest);
    expect((await prune({ olderThan: 5 * day })).removedUnfinished).toEqual([]);
    lock?.release();
    expect((await prune({ olderThan: 5 * day })).removedUnfinished).toHaveLength(1);
    expect(fixture.files("tmp")).toEqual([]);
  });

  test("removes the parts of blobs that have no byte yet, with no limit given too", async () => {
    const { cache } = fixture;
    await putOld("new", 1);
    writeFileSync(cache.partialPath(digestOf("begun")), "");
    expect((await prune({})).removedUnfinished).toHaveLength(1);
    expect(fixture.files("tmp")).toEqual([]);
  });

  test("removes what ended processes left, and nothing of those that live", async () => {
    const { cache } = fixture;
    const alive = await cache.tempPath("alive");
    writeFileSync(alive, "1");
    const dead = join(cache.root, "tmp", `run-${crypto.randomUUID()}`);
    mkdirSync(dead);
    writeFileSync(join(dead, "x.tmp"), "half");
    writeFileSync(join(cache.root, "locks", "sha256-abandoned"), "");
    writeFileSync(join(cache.root, "locks", "sha256-abandoned.holder"), "{}");
    expect((await prune({ dryRun: true })).leftovers).toBe(0);
    expect((await prune({})).leftovers).toBe(2);
    expect(fixture.files("tmp")).toHaveLength(1);
    await cache.discardTemp(alive);
    expect(fixture.files("tmp")).toEqual([]);
    expect(fixture.files("locks")).toEqual([]);
  });
});
