import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OcibundleError } from "../../../../src/errors.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { cacheAt } from "../../../../src/store/cache/cache.ts";
import { obtainBlob, requireBlob } from "../../../../src/store/cache/obtain.ts";
import { pruneCache } from "../../../../src/store/cache/prune.ts";
import { type CacheFixture, cacheFixture } from "../../../support/store/cache-fixture.ts";
import { startChild } from "../../../support/store/cache-process.ts";
import { mountTmpfs } from "../../../support/store/small-disk.ts";

let fixture: CacheFixture;
const { signal } = new AbortController();
const text = "the weights";
const blob = { digest: digestOf(text), size: text.length };
const never = (): Promise<void> => Promise.reject(new Error("fetched again"));

beforeEach(() => {
  fixture = cacheFixture();
});

afterEach(() => fixture.remove());

test("what is missing is fetched, what is there is not", async () => {
  const { cache } = fixture;
  const use = { name: "llama", origin: "host/repository" };
  const first = requireBlob(
    await obtainBlob(cache, blob, {
      signal,
      use,
      fetch: (path) => writeFile(path, text),
    }),
  );
  expect(first.outcome).toBe("fetched");
  expect(readFileSync(first.path, "utf8")).toBe(text);
  first.release();
  const second = requireBlob(await obtainBlob(cache, blob, { signal, fetch: never }));
  expect(second).toMatchObject({ outcome: "cached", path: first.path });
  second.release();
  expect(await cache.entry(blob.digest)).toMatchObject({
    names: [use.name],
    origins: [use.origin],
  });
  expect(fixture.files("tmp")).toEqual([]);
  expect(fixture.files("locks")).toEqual([]);
});

test("two processes that want one blob fetch it once", async () => {
  const log = join(fixture.directory, "log");
  const args = ["once", fixture.cache.root, log];
  const outcomes = await Promise.all([1, 2, 3].map(() => startChild(args).result()));
  expect(outcomes.toSorted()).toEqual(["cached", "cached", "fetched"]);
  expect(readFileSync(log, "utf8")).toBe("fetch\n");
});

test("two in one process that want one blob fetch it once", async () => {
  let fetches = 0;
  const obtain = async () =>
    requireBlob(
      await obtainBlob(fixture.cache, blob, {
        signal,
        fetch: async (path) => {
          fetches += 1;
          await writeFile(path, text);
        },
      }),
    );
  const blobs = await Promise.all([obtain(), obtain(), obtain()]);
  expect(fetches).toBe(1);
  for (const { release } of blobs) release();
});

test("a fetch that failed leaves its part for the next one to go on from", async () => {
  const failing = obtainBlob(fixture.cache, blob, {
    signal,
    fetch: async (path, journal) => {
      await writeFile(path, text.slice(0, 4));
      await writeFile(journal, "4");
      throw new OcibundleError("network", "reset");
    },
  });
  await expect(failing).rejects.toMatchObject({ code: "network" });
  expect(fixture.files("blobs")).toEqual([]);
  const obtained = requireBlob(
    await obtainBlob(fixture.cache, blob, {
      signal,
      fetch: async (path, journal) => {
        await appendFile(path, text.slice(Number(await readFile(journal, "utf8"))));
      },
    }),
  );
  expect(readFileSync(obtained.path, "utf8")).toBe(text);
  obtained.release();
  expect(fixture.files("tmp")).toEqual([]);
});

test("a damaged blob is fetched again", async () => {
  await fixture.put(text);
  fixture.overwrite(blob.digest, "short");
  const obtained = requireBlob(
    await obtainBlob(fixture.cache, blob, {
      signal,
      fetch: (path) => writeFile(path, text),
    }),
  );
  expect(obtained.outcome).toBe("fetched");
  expect(readFileSync(obtained.path, "utf8")).toBe(text);
  obtained.release();
});

test("what was obtained is not pruned before its release", async () => {
  await fixture.put(text);
  const obtained = requireBlob(await obtainBlob(fixture.cache, blob, { signal, fetch: never }));
  const options = { maxSize: 0, dryRun: false, now: Date.now(), signal };
  expect((await pruneCache(fixture.cache, options)).inUse).toHaveLength(1);
  expect(existsSync(obtained.path)).toBe(true);
  obtained.release();
  expect((await pruneCache(fixture.cache, options)).removed).toHaveLength(1);
  expect(existsSync(obtained.path)).toBe(false);
});

test("a fetch that leaves too little is an integrity error", async () => {
  const obtaining = obtainBlob(fixture.cache, blob, {
    signal,
    fetch: (path) => writeFile(path, "less"),
  });
  await expect(obtaining).rejects.toMatchObject({ code: "integrity" });
});

test("a cache that can't be written says so before anything is fetched", async () => {
  writeFileSync(join(fixture.directory, "file"), "");
  const cache = cacheAt(join(fixture.directory, "file", "cache"));
  const obtained = await obtainBlob(cache, blob, { signal, fetch: never });
  expect(obtained).toMatchObject({ kind: "unusable", why: { code: "conflict" } });
});

const disk = mountTmpfs(1024 * 1024);
test.skipIf(disk === undefined)(
  "a full disk is named with its directory and the way out",
  async () => {
    if (disk === undefined) return;
    try {
      const cache = cacheAt(join(disk.path, "cache"));
      const big = "x".repeat(2 * 1024 * 1024);
      const obtained = await obtainBlob(
        cache,
        { digest: digestOf(big), size: big.length },
        { signal, fetch: (path) => writeFile(path, big) },
      );
      expect(obtained).toMatchObject({
        kind: "unusable",
        why: {
          code: "system",
          message: `cannot use the cache directory "${cache.root}": no space left on device`,
        },
      });
    } finally {
      disk.remove();
    }
  },
);
