import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../../../../src/oci/digest.ts";
import { type WorkerPool, createWorkerPool } from "../../../../src/runtime/worker-pool.ts";
import { listBlobs } from "../../../../src/store/cache/list.ts";
import { verifyBlobs } from "../../../../src/store/cache/verify.ts";
import { type CacheFixture, cacheFixture } from "../../../support/store/cache-fixture.ts";

let fixture: CacheFixture;
let pool: WorkerPool;
const { signal } = new AbortController();

beforeAll(() => {
  pool = createWorkerPool(2);
});
afterAll(() => pool.close());

beforeEach(() => {
  fixture = cacheFixture();
});
afterEach(() => fixture.remove());

const verify = async () =>
  verifyBlobs(fixture.cache, await listBlobs(fixture.cache), { pool, signal });

test("an intact cache has no damage, and every byte was read", async () => {
  for (const text of ["one", "three", ""]) await fixture.put(text);
  const seen = { started: 0, bytes: 0, done: 0 };
  const damaged = await verifyBlobs(fixture.cache, await listBlobs(fixture.cache), {
    pool,
    signal,
    onStart: () => (seen.started += 1),
    onBytes: (_, bytes) => (seen.bytes += bytes),
    onDone: () => (seen.done += 1),
  });
  expect(damaged).toEqual([]);
  expect(seen).toEqual({ started: 3, bytes: 8, done: 3 });
});

test("a flipped byte with the old size and time is found and removed", async () => {
  const good = await fixture.put("good", { name: "good" });
  const bad = await fixture.put("bad!", { name: "bad" });
  const path = fixture.cache.blobPath(bad.digest);
  const { modified } = (await fixture.cache.entry(bad.digest)) ?? { modified: 0 };
  fixture.overwrite(bad.digest, "bad?");
  utimesSync(path, modified / 1000, modified / 1000);
  expect(await verify()).toMatchObject([{ digest: bad.digest, names: ["bad"], removed: true }]);
  expect(existsSync(path)).toBe(false);
  expect(await fixture.cache.has(good)).toBe(true);
  expect(await verify()).toEqual([]);
});

test.each(["", "b", "bad!!"])("a blob that became %j is found", async (text) => {
  const bad = await fixture.put("bad!");
  fixture.overwrite(bad.digest, text);
  expect(await verify()).toMatchObject([{ digest: bad.digest, removed: true }]);
});

test("a right blob with a lost record has one afterwards", async () => {
  const { digest } = await fixture.put("good");
  rmSync(join(fixture.cache.recordsDir, "blobs", digest.replace(":", "-")));
  expect(await verify()).toEqual([]);
  expect(await fixture.cache.entry(digest)).toBeDefined();
});

test("sha512 blobs are read too", async () => {
  const digest: Digest = `sha512:${createHash("sha512").update("x").digest("hex")}`;
  const path = await fixture.cache.tempPath("x");
  writeFileSync(path, "x");
  await fixture.cache.putFile(path, digest, 1);
  expect(await verify()).toEqual([]);
  fixture.overwrite(digest, "y");
  expect(await verify()).toMatchObject([{ digest, removed: true }]);
});

test("what goes while it is verified is no damage", async () => {
  const { digest } = await fixture.put("good");
  const blobs = await listBlobs(fixture.cache);
  await fixture.cache.remove(digest);
  expect(await verifyBlobs(fixture.cache, blobs, { pool, signal })).toEqual([]);
});

test("an abort ends it with the signal's reason", async () => {
  await fixture.put("good");
  const reason = new Error("stop");
  const blobs = await listBlobs(fixture.cache);
  const verifying = verifyBlobs(fixture.cache, blobs, {
    pool,
    signal: AbortSignal.abort(reason),
  });
  await expect(verifying).rejects.toBe(reason);
});
