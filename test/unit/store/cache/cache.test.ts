import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type Digest, digestHex, digestOf } from "../../../../src/oci/digest.ts";
import { cacheAt } from "../../../../src/store/cache/cache.ts";
import { isUnusable } from "../../../../src/store/cache/directory.ts";
import {
  type CacheFixture,
  cacheFixture,
  listFiles,
} from "../../../support/store/cache-fixture.ts";
import { startChild } from "../../../support/store/cache-process.ts";

let fixture: CacheFixture;

beforeEach(() => {
  fixture = cacheFixture();
});

afterEach(() => fixture.remove());

const recordOf = (digest: Digest): string =>
  join(fixture.cache.recordsDir, "blobs", digest.replace(":", "-"));

describe("putting", () => {
  test("nothing is on disk before", async () => {
    expect(await fixture.cache.has({ digest: digestOf("a"), size: 1 })).toBe(false);
    expect(existsSync(fixture.cache.root)).toBe(false);
  });

  test("a blob is below its digest, read-only, and nothing temporary is left", async () => {
    const { digest, size } = await fixture.put("weights");
    const path = fixture.cache.blobPath(digest);
    expect(path).toBe(join(fixture.cache.root, "blobs", "sha256", digestHex(digest)));
    expect(readFileSync(path, "utf8")).toBe("weights");
    expect(statSync(path).mode & 0o222).toBe(0);
    expect(await fixture.cache.find({ digest, size })).toBe(path);
    expect(fixture.files("tmp")).toEqual([]);
    expect(fixture.files("locks")).toEqual([]);
  });

  test("permissions to read are those the umask left", async () => {
    const path = await fixture.cache.tempPath("x");
    writeFileSync(path, "a", { mode: 0o640 });
    const put = await fixture.cache.putFile(path, digestOf("a"), 1);
    expect(statSync(put).mode & 0o777).toBe(0o440);
  });

  test("a sha512 blob has a directory of its own", async () => {
    const digest: Digest = `sha512:${createHash("sha512").update("x").digest("hex")}`;
    const path = await fixture.cache.tempPath("x");
    writeFileSync(path, "x");
    expect(await fixture.cache.putFile(path, digest, 1)).toContain("/sha512/");
    rmSync(recordOf(digest));
    expect(await fixture.cache.has({ digest, size: 1 })).toBe(true);
  });

  test("a file of another size is refused", async () => {
    const path = await fixture.cache.tempPath("x");
    writeFileSync(path, "abc");
    await expect(fixture.cache.putFile(path, digestOf("abcd"), 4)).rejects.toMatchObject({
      code: "integrity",
    });
    expect(fixture.files("blobs")).toEqual([]);
  });

  test("the same blob twice is one blob, with both names", async () => {
    await fixture.put("same", { name: "a", origin: "host/one" });
    const { digest } = await fixture.put("same", { name: "b", origin: "host/two" });
    expect(fixture.files("blobs")).toHaveLength(1);
    expect(await fixture.cache.entry(digest)).toMatchObject({
      names: ["b", "a"],
      origins: ["host/two", "host/one"],
    });
  });
});

describe("using", () => {
  test("a blob of another size than asked for is not the one, and stays", async () => {
    const blob = await fixture.put("four");
    expect(await fixture.cache.has({ ...blob, size: 5 })).toBe(false);
    expect(await fixture.cache.has(blob)).toBe(true);
  });

  test.each(["", "fou", "four!"])("a blob that became %j is removed", async (text) => {
    const blob = await fixture.put("four");
    fixture.overwrite(blob.digest, text);
    expect(await fixture.cache.has({ ...blob, size: text.length })).toBe(false);
    expect(existsSync(fixture.cache.blobPath(blob.digest))).toBe(false);
  });

  test("an edit that keeps the size is noticed, and the blob removed", async () => {
    const blob = await fixture.put("four");
    const before = statSync(fixture.cache.blobPath(blob.digest));
    fixture.overwrite(blob.digest, "FOUR");
    utimesSync(
      fixture.cache.blobPath(blob.digest),
      before.atime,
      new Date(before.mtimeMs + 60_000),
    );
    expect(await fixture.cache.has(blob)).toBe(false);
    expect(existsSync(fixture.cache.blobPath(blob.digest))).toBe(false);
  });

  test("an edit through a hard link leaves the link to its owner", async () => {
    const blob = await fixture.put("four");
    const target = join(fixture.directory, "target");
    linkSync(fixture.cache.blobPath(blob.digest), target);
    chmodSync(target, 0o644);
    writeFileSync(target, "FOUR");
    utimesSync(target, new Date(), new Date(Date.now() + 60_000));
    expect(await fixture.cache.has(blob)).toBe(false);
    expect(readFileSync(target, "utf8")).toBe("FOUR");
  });

  test("a touched blob with the right bytes is kept", async () => {
    const blob = await fixture.put("four");
    const path = fixture.cache.blobPath(blob.digest);
    utimesSync(path, new Date(0), new Date(0));
    expect(await fixture.cache.find(blob)).toBe(path);
    expect(await fixture.cache.entry(blob.digest)).toMatchObject({ modified: 0 });
  });

  test.each([
    ["missing", undefined],
    ["empty", ""],
    ["cut off", '{"digest":'],
    ["of another blob", JSON.stringify({ digest: digestOf("x"), size: 4, modified: 0 })],
  ])("with its record %s, a blob is hashed and has a record again", async (_, content) => {
    const blob = await fixture.put("four");
    const record = recordOf(blob.digest);
    if (content === undefined) rmSync(record);
    else writeFileSync(record, content);
    expect(await fixture.cache.has(blob)).toBe(true);
    expect(await fixture.cache.entry(blob.digest)).toMatchObject({ size: 4, names: [] });
  });

  test("with its record missing, wrong bytes are found out", async () => {
    const blob = await fixture.put("four");
    fixture.overwrite(blob.digest, "FOUR");
    rmSync(recordOf(blob.digest));
    expect(await fixture.cache.has(blob)).toBe(false);
  });

  test("a directory or a link in a blob's place is no blob", async () => {
    const { cache } = fixture;
    const digest = digestOf("x");
    await fixture.put("other");
    mkdirSync(cache.blobPath(digest));
    expect(await cache.has({ digest, size: 1 })).toBe(false);
  });

  test("a use under a known name only moves the time of the last use", async () => {
    const { digest } = await fixture.put("four", { name: "a", origin: "o" });
    const record = recordOf(digest);
    utimesSync(record, new Date(0), new Date(0));
    const { ino } = statSync(record);
    await fixture.cache.noteUse(digest, { name: "a", origin: "o" });
    expect(statSync(record).ino).toBe(ino);
    expect((await fixture.cache.entry(digest))?.lastUsed.getTime()).toBeGreaterThan(0);
  });

  test("of many names the last few are kept", async () => {
    const { digest } = await fixture.put("four");
    for (let index = 0; index < 20; index += 1) {
      await fixture.cache.noteUse(digest, { name: `n${index}` });
    }
    const names = (await fixture.cache.entry(digest))?.names;
    expect(names).toHaveLength(8);
    expect(names?.[0]).toBe("n19");
  });

  test("what was abandoned half-way is hashed no further", async () => {
    const blob = await fixture.put("x".repeat(3_000_000));
    rmSync(recordOf(blob.digest));
    const reason = new Error("stop");
    await expect(fixture.cache.has(blob, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(existsSync(fixture.cache.blobPath(blob.digest))).toBe(true);
  });
});

describe("temporary files", () => {
  test("of one run share a directory that goes with the last of them", async () => {
    const one = await fixture.cache.tempPath("one");
    const two = await fixture.cache.tempPath("two");
    writeFileSync(one, "1");
    writeFileSync(two, "2");
    expect(dirname(one)).toBe(dirname(two));
    await fixture.cache.discardTemp(one);
    expect(existsSync(two)).toBe(true);
    await fixture.cache.discardTemp(two);
    expect(fixture.files("tmp")).toEqual([]);
    expect(fixture.files("locks")).toEqual([]);
  });

  test("of a run that lives are not swept by another; those of a dead one are", async () => {
    const path = await fixture.cache.tempPath("alive");
    writeFileSync(path, "1");
    const dead = join(fixture.cache.root, "tmp", `run-${crypto.randomUUID()}`);
    mkdirSync(dead);
    writeFileSync(join(dead, "x.tmp"), "half");
    const other = startChild(["obtain", fixture.cache.root, join(fixture.directory, "out"), "1"]);
    await other.result();
    expect(existsSync(path)).toBe(true);
    expect(existsSync(dead)).toBe(false);
    await fixture.cache.discardTemp(path);
  });
});

describe("a place that can't be written", () => {
  test("a file in the way is named, and a run may go on without", async () => {
    const file = join(fixture.directory, "file");
    writeFileSync(file, "");
    const cache = cacheAt(join(file, "cache"));
    expect(await cache.has({ digest: digestOf("a"), size: 1 })).toBe(false);
    const failure = await cache.tempPath("x").catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: "conflict",
      message: `cannot use the cache directory "${cache.root}": a part of its path is not a directory`,
    });
    expect(isUnusable(failure)).toBe(true);
  });

  test.skipIf(process.getuid?.() !== 0)(
    "a cache of another user can be read without being written",
    async () => {
      const blob = await fixture.put("shared");
      chmodSync(fixture.directory, 0o755);
      const before = listFiles(fixture.cache.root);
      const args = [fixture.cache.root, blob.digest, String(blob.size)];
      expect(await startChild(["use", ...args], { uid: 65534 }).result()).toBe("found");
      expect(listFiles(fixture.cache.root)).toEqual(before);
    },
  );

  test.skipIf(process.getuid?.() !== 0)(
    "a cache of another user is pulled from without being written, and refused for what it lacks",
    async () => {
      const args = ["obtain", fixture.cache.root];
      await startChild([...args, join(fixture.directory, "out"), "1"]).result();
      chmodSync(fixture.directory, 0o777);
      const before = listFiles(fixture.cache.root);
      const other = (seed: string) =>
        startChild([...args, join(fixture.directory, "other"), seed], { uid: 65534 }).result();
      await other("1");
      const target = statSync(join(fixture.directory, "other", "weights", "weight-0"));
      expect(target.uid).toBe(65534);
      await expect(other("2")).rejects.toThrow("permission denied");
      expect(listFiles(fixture.cache.root)).toEqual(before);
    },
  );
});
