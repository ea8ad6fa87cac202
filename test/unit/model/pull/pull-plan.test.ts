import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { WeightEntry } from "../../../../src/model/format/weight-entry.ts";
import { planPull, selectEntries, wantedFiles } from "../../../../src/model/pull/pull-plan.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { createWorkerPool } from "../../../../src/runtime/worker-pool.ts";
import { cacheAt } from "../../../../src/store/cache/cache.ts";
import { openFileRecords } from "../../../../src/store/records/file-records.ts";
import { entry as entryOf } from "../../../support/model/fixtures.ts";

const entry = (name: string, text = name): WeightEntry =>
  entryOf(name, {
    digest: digestOf(text),
    digestOriginal: digestOf(text),
    size: text.length,
    sizeUncompressed: text.length,
  }) as WeightEntry;

describe("--only", () => {
  const entries = ["a/one.bin", "a/two.bin", "three"].map((name) => entry(name));
  const select = (...globs: string[]) => selectEntries(entries, globs).map(({ name }) => name);

  test("takes all where there is none", () => {
    expect(select()).toEqual(["a/one.bin", "a/two.bin", "three"]);
  });

  test("takes by name or by dest, each once, in the order of the manifest", () => {
    expect(select("a/*")).toEqual(["a/one.bin", "a/two.bin"]);
    expect(select("/src/weights/three", "**/*.bin", "three")).toEqual([
      "a/one.bin",
      "a/two.bin",
      "three",
    ]);
    expect(select("src/weights/a/**")).toEqual(["a/one.bin", "a/two.bin"]);
  });

  test("takes by the last part of a dest where the glob has no slash", () => {
    expect(select("*.bin")).toEqual(["a/one.bin", "a/two.bin"]);
    expect(select("two.*")).toEqual(["a/two.bin"]);
    expect(select("*")).toEqual(["a/one.bin", "a/two.bin", "three"]);
  });

  test("takes a name as it is before it takes it for a glob", () => {
    const named = [entry("w[1]", "a"), entry("w1", "b"), entry("x/w1", "c")];
    const of = (glob: string) => selectEntries(named, [glob]).map(({ name }) => name);
    expect(of("w[1]")).toEqual(["w[1]"]);
    expect(of("w1")).toEqual(["w1"]);
    expect(of("?1")).toEqual(["w1", "x/w1"]);
  });

  test("says what there is where one takes nothing", () => {
    expect(() => select("three", "none")).toThrow(
      expect.objectContaining({
        code: "not_found",
        message: '--only "none" matches no weight file',
        hint: "use a pattern that matches one of a/one.bin, a/two.bin, three",
      }),
    );
    const many = Array.from({ length: 7 }, (_, index) => entry(`w${index}`));
    expect(() => selectEntries(many, ["x"])).toThrow(
      expect.objectContaining({
        hint: "use a pattern that matches one of w0, w1, w2, w3, w4, and 2 more",
      }),
    );
  });
});

describe("what is in the way", () => {
  let directory: string;
  const workers = createWorkerPool(1);
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "ocibundle-plan-"));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  const plan = async (entries: WeightEntry[], force = false) => {
    const cache = cacheAt(join(directory, "cache"));
    const parts = new Map(entries.map(({ dest }) => [dest, dest.slice(1).split("/")]));
    const files = wantedFiles(join(directory, "out"), entries, parts);
    const { kept, wanted } = await planPull(files, {
      signal: new AbortController().signal,
      force,
      cache,
      records: openFileRecords(cache),
      pool: workers,
    });
    const names = (some: typeof kept) => some.map(({ entry: { name } }) => name);
    return { kept: names(kept), wanted: names(wanted) };
  };
  const put = (name: string, text: string): string => {
    const path = join(directory, "out/src/weights", name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  };

  test("is kept where it has the right content, and fetched where it is missing", async () => {
    put("a", "a");
    expect(await plan([entry("a"), entry("b")])).toEqual({ kept: ["a"], wanted: ["b"] });
  });

  test("is refused where its content or its size is another, unless forced", async () => {
    put("a", "x");
    put("b", "longer");
    const refusal = plan([entry("a"), entry("b"), entry("c")]);
    await expect(refusal).rejects.toMatchObject({
      code: "conflict",
      message: `"${join(directory, "out/src/weights/a")}" and 1 more exist with different content`,
    });
    expect(await plan([entry("a"), entry("b")], true)).toEqual({ kept: [], wanted: ["a", "b"] });
  });

  test("is other content where it is a link, whatever that leads to", async () => {
    const path = put("target", "a");
    symlinkSync(path, join(dirname(path), "a"));
    await expect(plan([entry("a")])).rejects.toMatchObject({ code: "conflict" });
  });

  test("is never replaced where it is no file", async () => {
    put("a/inside", "x");
    await expect(plan([entry("a")], true)).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("exists and is not a regular file"),
    });
  });

  test("is not read where it is the cache's own file", async () => {
    const cache = cacheAt(join(directory, "cache"));
    const temp = await cache.tempPath("blob");
    writeFileSync(temp, "a");
    const cached = await cache.putFile(temp, digestOf("a"), 1);
    const path = put("other", "");
    linkSync(cached, join(dirname(path), "a"));
    expect(existsSync(join(dirname(path), "a"))).toBe(true);
    expect(await plan([entry("a")])).toEqual({ kept: ["a"], wanted: [] });
  });
});
