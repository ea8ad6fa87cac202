import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { digestHex, digestOf } from "../../../../src/oci/digest.ts";
import { cacheAt } from "../../../../src/store/cache/cache.ts";
import {
  type LayerBlob,
  keepConfig,
  openLayerRecords,
  readKeptConfig,
} from "../../../../src/store/records/layer-records.ts";
import { type CacheFixture, cacheFixture } from "../../../support/store/cache-fixture.ts";

let fixture: CacheFixture;
const diffId = digestOf("layer");
const gzip: LayerBlob = {
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  digest: digestOf("gzip"),
  size: 4,
};
const zstd: LayerBlob = {
  mediaType: "application/vnd.oci.image.layer.v1.tar+zstd",
  digest: digestOf("zstd"),
  size: 3,
};

beforeEach(() => {
  fixture = cacheFixture();
});
afterEach(() => fixture.remove());

const open = (host = "registry.example.com") => openLayerRecords(fixture.cache, host);

describe("layers", () => {
  test("are found as what they were pushed as, in this run and the next", async () => {
    const records = await open();
    expect(records.find(diffId, "acme/a")).toEqual([]);
    records.add(diffId, gzip, "acme/a");
    const found = [{ blob: gzip, repositories: ["acme/a"] }];
    expect(records.find(diffId, "acme/a")).toEqual(found);
    await records.save();
    expect((await open()).find(diffId, "acme/a")).toEqual(found);
    expect((await open("other.example.com")).find(diffId, "acme/a")).toEqual([]);
  });

  test("that became several blobs: what the repository has comes first", async () => {
    const records = await open();
    records.add(diffId, gzip, "acme/a");
    records.add(diffId, zstd, "acme/b");
    expect(records.find(diffId, "acme/c").map(({ blob }) => blob)).toEqual([zstd, gzip]);
    expect(records.find(diffId, "acme/a").map(({ blob }) => blob)).toEqual([gzip, zstd]);
  });

  test("know every repository of a blob, the last first, up to a bound", async () => {
    const records = await open();
    for (let index = 0; index < 12; index += 1) records.add(diffId, gzip, `acme/${index}`);
    const [record] = records.find(diffId, "acme/11");
    expect(record?.repositories).toHaveLength(8);
    expect(record?.repositories[0]).toBe("acme/11");
  });

  test("of two runs that save after one another are all kept", async () => {
    const [first, second] = [await open(), await open()];
    first.add(diffId, gzip, "acme/a");
    second.add(diffId, zstd, "acme/b");
    await first.save();
    await second.save();
    expect((await open()).find(diffId, "acme/b").map(({ blob }) => blob)).toEqual([zstd, gzip]);
  });

  test("beyond some thousands the oldest go", async () => {
    const records = await open();
    for (let index = 0; index < 5001; index += 1) records.add(`sha256:${index}`, gzip, "acme/a");
    await records.save();
    const read = await open();
    expect(read.find("sha256:0", "acme/a")).toEqual([]);
    expect(read.find("sha256:5000", "acme/a")).toHaveLength(1);
  });

  test.each([
    "",
    "{",
    '{"version":1}',
    '{"version":1,"host":"registry.example.com","layers":[{}]}',
  ])("a record that is %j counts as none", async (content) => {
    const before = await open();
    before.add(diffId, gzip, "acme/a");
    await before.save();
    const directory = join(fixture.cache.recordsDir, "layers");
    writeFileSync(join(directory, readdirSync(directory)[0] ?? ""), content);
    expect((await open()).find(diffId, "acme/a")).toEqual([]);
  });
});

describe("image configs", () => {
  const bytes = new TextEncoder().encode('{"os":"linux"}');
  const digest = digestOf(bytes);
  const pathOf = (of = digest) => join(fixture.cache.recordsDir, "configs", digestHex(of));

  test("are kept with their exact bytes", async () => {
    expect(await readKeptConfig(fixture.cache, digest)).toBeUndefined();
    await keepConfig(fixture.cache, digest, bytes);
    expect(await readKeptConfig(fixture.cache, digest)).toEqual(Buffer.from(bytes));
  });

  test("with other bytes than their digest says are none", async () => {
    await keepConfig(fixture.cache, digest, bytes);
    writeFileSync(pathOf(), "{}");
    expect(await readKeptConfig(fixture.cache, digest)).toBeUndefined();
  });

  test("beyond some hundreds the oldest go", async () => {
    await keepConfig(fixture.cache, digest, bytes);
    for (let index = 0; index < 260; index += 1) {
      const config = new TextEncoder().encode(String(index));
      await keepConfig(fixture.cache, digestOf(config), config);
    }
    expect(readdirSync(join(fixture.cache.recordsDir, "configs"))).toHaveLength(256);
    expect(await readKeptConfig(fixture.cache, digest)).toBeUndefined();
  });

  test("that can't be kept fail no run", async () => {
    const file = join(fixture.directory, "file");
    writeFileSync(file, "");
    const cache = cacheAt(join(file, "cache"));
    await keepConfig(cache, digest, bytes);
    expect(await readKeptConfig(cache, digest)).toBeUndefined();
  });
});
