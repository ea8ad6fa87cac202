import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  type BigIntStats,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheAt } from "../../../../src/store/cache/cache.ts";
import { openFileRecords, unsettledFor } from "../../../../src/store/records/file-records.ts";

const digest = (digit: string): `sha256:${string}` => `sha256:${digit.repeat(64)}`;
const later = Date.now() + 60_000;

let directory: string;
let path: string;
const records = () => openFileRecords(cacheAt(join(directory, "cache")));
const stats = (): BigIntStats => statSync(path, { bigint: true });

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ocibundle-records-"));
  path = join(directory, "model.bin");
  writeFileSync(path, "weights");
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

async function record(known = { digest: digest("a") }): Promise<void> {
  const open = records();
  await open.add(path, stats(), later, known);
  await open.save();
}

test("an unchanged file is known to a later run", async () => {
  const known = {
    digest: digest("a"),
    zstd: { digest: digest("b"), size: 3 },
    auto: "zstd" as const,
  };
  await record(known);
  expect(await records().find(path, stats())).toEqual(known);
});

test("what is known of one content adds up", async () => {
  const open = records();
  await open.add(path, stats(), later, { digest: digest("a"), auto: "none" });
  await open.save();
  await open.add(path, stats(), later, {
    digest: digest("a"),
    gzip: { digest: digest("c"), size: 5 },
  });
  await open.save();
  expect(await records().find(path, stats())).toEqual({
    digest: digest("a"),
    auto: "none",
    gzip: { digest: digest("c"), size: 5 },
  });
});

const oneSecond = 1_000_000_000n;
const at = (mtimeNs: bigint, ctimeNs = mtimeNs): BigIntStats =>
  Object.assign(Object.create(null), {
    mtimeNs,
    ctimeNs,
    mtimeMs: mtimeNs / 1_000_000n,
    ctimeMs: ctimeNs / 1_000_000n,
  });

const recordFile = (): string => {
  const files = join(directory, "cache", "records", "files");
  const [name] = readdirSync(files);
  if (name === undefined) throw new Error("nothing was recorded");
  return join(files, name);
};

describe("a file is no longer known when", () => {
  test("its bytes were written again", async () => {
    await record();
    writeFileSync(path, "WEIGHTS");
    expect(await records().find(path, stats())).toBeUndefined();
  });

  test("its size changed and its time was put back", async () => {
    const { atimeMs, mtimeMs } = statSync(path);
    await record();
    writeFileSync(path, "more weights");
    utimesSync(path, atimeMs / 1000, mtimeMs / 1000);
    expect(await records().find(path, stats())).toBeUndefined();
  });

  test("another file was put in its place", async () => {
    await record();
    rmSync(path);
    writeFileSync(path, "weights");
    expect(await records().find(path, stats())).toBeUndefined();
  });

  test.each(["size", "mtimeNs", "ctimeNs", "ino", "dev"] as const)(
    "its %s differs",
    async (member) => {
      await record();
      const now = stats();
      const other = Object.assign(Object.create(Object.getPrototypeOf(now)), now);
      other[member] = now[member] + 1n;
      expect(await records().find(path, now)).toBeDefined();
      expect(await records().find(path, other)).toBeUndefined();
    },
  );
});

describe("a change could hide behind the times of the one before, so", () => {
  test("a file is noted only when its times were past at the time of reading", async () => {
    const open = records();
    const now = stats();
    await open.add(path, now, Number(now.ctimeMs) + 1, { digest: digest("a") });
    expect(await open.find(path, now)).toBeUndefined();
    await open.add(path, now, Number(now.ctimeMs) + 30, { digest: digest("a") });
    expect(await open.find(path, now)).toBeDefined();
  });

  test("fine times are relied on after 20 ms, whole seconds after two and a half", () => {
    expect(unsettledFor(at(5n * oneSecond + 1n), 5000)).toBe(21);
    expect(unsettledFor(at(5n * oneSecond + 1n), 5021)).toBe(0);
    expect(unsettledFor(at(5n * oneSecond), 5021)).toBeGreaterThan(2000);
    expect(unsettledFor(at(5n * oneSecond), 8000)).toBeLessThanOrEqual(0);
  });

  test("the later of both times counts", () => {
    expect(unsettledFor(at(1n, 5n * oneSecond), 5000)).toBe(21);
    expect(unsettledFor(at(5n * oneSecond, 1n), 5000)).toBe(21);
  });
});

describe("records of a directory", () => {
  test.each(["", "{", "[]", '{"version":2}', '{"version":1,"folder":"/other","files":[]}'])(
    "that are damaged (%p) are none",
    async (text) => {
      await record();
      writeFileSync(recordFile(), text);
      expect(await records().find(path, stats())).toBeUndefined();
      await record();
      expect(await records().find(path, stats())).toEqual({ digest: digest("a") });
    },
  );

  test("are merged with what another process wrote meanwhile", async () => {
    const other = join(directory, "other.bin");
    writeFileSync(other, "others");
    const [first, second] = [records(), records()];
    await first.find(path, stats());
    await second.find(path, stats());
    await first.add(path, stats(), later, { digest: digest("a") });
    await second.add(other, statSync(other, { bigint: true }), later, { digest: digest("b") });
    await first.save();
    await second.save();
    const names = JSON.parse(readFileSync(recordFile(), "utf8")).files.map(
      (file: { name: string }) => file.name,
    );
    expect(names).toEqual(["model.bin", "other.bin"]);
  });

  test("that can't be written are no failure", async () => {
    writeFileSync(join(directory, "cache"), "a file in the way");
    const open = records();
    await open.add(path, stats(), later, { digest: digest("a") });
    await open.save();
    expect(await open.find(path, stats())).toEqual({ digest: digest("a") });
  });
});
