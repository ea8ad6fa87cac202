import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Digest, digestOf } from "../../../../src/oci/digest.ts";
import { openBlobLocations } from "../../../../src/store/records/blob-locations.ts";
import { cacheAt } from "../../../../src/store/cache/cache.ts";
import { type CacheFixture, cacheFixture } from "../../../support/store/cache-fixture.ts";

let fixture: CacheFixture;
const one = digestOf("one");
const two = digestOf("two");

beforeEach(() => {
  fixture = cacheFixture();
});
afterEach(() => fixture.remove());

const open = (host = "registry.example.com") => openBlobLocations(fixture.cache, host);
const recordFile = (): string => {
  const directory = join(fixture.cache.recordsDir, "locations");
  return join(directory, readdirSync(directory)[0] ?? "");
};

test("what was added is there at once, and in the next run when saved", async () => {
  const locations = await open();
  expect(locations.repositories(one)).toEqual([]);
  locations.add(one, "acme/a");
  locations.add(one, "acme/b");
  locations.add(one, "acme/a");
  expect(locations.repositories(one)).toEqual(["acme/a", "acme/b"]);
  await locations.save();
  expect((await open()).repositories(one)).toEqual(["acme/a", "acme/b"]);
  expect((await open()).repositories(two)).toEqual([]);
});

test("registries are kept apart", async () => {
  const locations = await open();
  locations.add(one, "acme/a");
  await locations.save();
  expect((await open("other.example.com")).repositories(one)).toEqual([]);
});

test("two that save after one another keep both", async () => {
  const [first, second] = [await open(), await open()];
  first.add(one, "acme/a");
  second.add(one, "acme/b");
  second.add(two, "acme/b");
  await first.save();
  await second.save();
  const merged = await open();
  expect(merged.repositories(one)).toEqual(["acme/b", "acme/a"]);
  expect(merged.repositories(two)).toEqual(["acme/b"]);
});

test("many that save at the same time lose nothing", async () => {
  const all = await Promise.all(Array.from({ length: 8 }, () => open()));
  await Promise.all(
    all.map((locations, index) => {
      locations.add(digestOf(String(index)), "acme/a");
      return locations.save();
    }),
  );
  const merged = await open();
  for (const index of all.keys()) {
    expect(merged.repositories(digestOf(String(index)))).toEqual(["acme/a"]);
  }
  expect(fixture.files("tmp")).toEqual([]);
});

test("the repositories of a blob and the blobs have a bound: the oldest go", async () => {
  const locations = await open();
  for (let index = 0; index < 12; index += 1) locations.add(one, `acme/${index}`);
  expect(locations.repositories(one)).toHaveLength(8);
  const digests: Digest[] = Array.from({ length: 20_000 }, (_, index) => digestOf(`${index}`));
  for (const digest of digests) locations.add(digest, "acme/a");
  await locations.save();
  const started = performance.now();
  const read = await open();
  expect(performance.now() - started).toBeLessThan(1000);
  expect(read.repositories(one)).toEqual([]);
  expect(digests.every((digest) => read.repositories(digest).length === 1)).toBe(true);
});

test.each([
  "",
  "{",
  "[]",
  '{"version":2}',
  '{"version":1,"host":"other","repositories":["a"],"blobs":[]}',
  '{"version":1,"host":"registry.example.com","repositories":[1],"blobs":[]}',
  '{"version":1,"host":"registry.example.com","repositories":[],"blobs":[["x",[0]]]}',
])("a record that is %j counts as none, and the next save makes it right", async (content) => {
  const before = await open();
  before.add(one, "acme/a");
  await before.save();
  writeFileSync(recordFile(), content);
  const locations = await open();
  expect(locations.repositories(one)).toEqual([]);
  locations.add(two, "acme/b");
  await locations.save();
  expect((await open()).repositories(two)).toEqual(["acme/b"]);
});

test("an index that points nowhere is left out", async () => {
  const before = await open();
  before.add(one, "acme/a");
  await before.save();
  const blobs = [[one, [0, 7, -1, 0.5]]];
  const host = "registry.example.com";
  writeFileSync(
    recordFile(),
    JSON.stringify({ version: 1, host, repositories: ["acme/a"], blobs }),
  );
  expect((await open()).repositories(one)).toEqual(["acme/a"]);
});

test("a cache that can't be written fails no run", async () => {
  const file = join(fixture.directory, "file");
  writeFileSync(file, "");
  chmodSync(file, 0o444);
  const locations = await openBlobLocations(cacheAt(join(file, "cache")), "host");
  locations.add(one, "acme/a");
  await locations.save();
  expect(locations.repositories(one)).toEqual(["acme/a"]);
});
