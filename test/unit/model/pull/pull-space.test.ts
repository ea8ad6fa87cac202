import { afterEach, beforeEach, expect, test } from "bun:test";
import { Segments } from "../../../../src/model/format/segment-list.ts";
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OcibundleError } from "../../../../src/errors.ts";
import type { WeightEntry } from "../../../../src/model/format/weight-entry.ts";
import { wantedFiles } from "../../../../src/model/pull/pull-plan.ts";
import { type FilePlan, planFile } from "../../../../src/model/parts/file-plan.ts";
import { checkSpace } from "../../../../src/model/pull/pull-space.ts";
import { cacheAt } from "../../../../src/store/cache/cache.ts";
import { digest, entry as entryOf } from "../../../support/model/fixtures.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-space-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** Shares of what is free on the disk, in bytes; far enough from one for what others write meanwhile. */
const free = (share: number): number => {
  const { bavail, bsize } = statfsSync(directory);
  return Math.floor(bavail * bsize * share);
};

const entry = (name: string, size: number, more: Partial<WeightEntry> = {}): WeightEntry =>
  entryOf(name, {
    digest: digest(name),
    digestOriginal: digest(name),
    size,
    sizeUncompressed: size,
    ...more,
  }) as WeightEntry;

const check = (
  entries: WeightEntry[],
  useCache: boolean,
  cache = "cache",
  plans: ReadonlyMap<WeightEntry, FilePlan> = new Map(),
): Promise<OcibundleError | undefined> => {
  const parts = new Map(entries.map(({ dest }) => [dest, dest.slice(1).split("/")]));
  const root = join(directory, "out");
  return checkSpace(root, wantedFiles(root, entries, parts), {
    cache: cacheAt(join(directory, cache)),
    useCache,
    signal: new AbortController().signal,
    plans,
  });
};

/** Compressed to what it was before. */
const packed = (name: string, share: number) =>
  entry(name, free(share), { digest: digest("f"), sizeUncompressed: free(share) });

const refused = { code: "system", message: expect.stringContaining("no space left") };

test("a file fits or not", async () => {
  for (const useCache of [true, false]) {
    await check([entry("a", free(0.8))], useCache);
    await expect(check([entry("a", free(1.2))], useCache)).rejects.toMatchObject(refused);
    await expect(
      check([entry("a", free(0.6)), entry("b", free(0.6))], useCache),
    ).rejects.toMatchObject(refused);
  }
});

test("two files with one content take its space once as links, and twice as files of their own", async () => {
  const size = free(0.6);
  const twins = [
    entry("a", size),
    entry("b", size, { digest: digest("a"), digestOriginal: digest("a") }),
  ];
  await check(twins, true);
  await expect(check(twins, false)).rejects.toMatchObject(refused);
});

test("a compressed blob needs its space besides, and only as many as are fetched at once", async () => {
  for (const useCache of [true, false]) {
    await check([packed("a", 0.4)], useCache);
    await expect(check([packed("a", 0.6)], useCache)).rejects.toMatchObject(refused);
  }
  const eight = ["1", "2", "3", "4", "5", "6", "7", "8"].map((name) => packed(name, 0.08));
  await check(eight, true);
});

test("a cache of one run is not named, but the directory that is pulled into", async () => {
  const failed = check([entry("a", free(1.5))], true, "out/.ocibundle-unpack-0a1b");
  const message = expect.stringContaining(`the disk of "${join(directory, "out")}"`);
  await expect(failed).rejects.toMatchObject({ code: "system", message });
});

test("parts in another form need their space besides until they are decoded", async () => {
  const file = entry("a", free(0.6));
  const needs = (encoding: "none" | "bp2.zstd", share: number) => {
    const part = { digest: digest("b"), size: file.size };
    const stored = { ...part, encoding, stored: { digest: digest("c"), size: free(share) } };
    const plan = planFile(
      { ...file, digest: digest("a"), segments: Segments.of([[0, 0, file.size]]) },
      { recipe: { split: { by: "none" }, parts: [], files: [] }, parts: [stored] },
    );
    return check([file], true, "cache", new Map([[file, plan]]));
  };
  await needs("none", 0.6);
  await needs("bp2.zstd", 0.2);
  await expect(needs("bp2.zstd", 0.6)).rejects.toMatchObject(refused);
});
