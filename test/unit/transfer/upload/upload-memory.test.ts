import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chownSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { limitsOf } from "../../../../src/registry/limits.ts";
import type { TransferEvent } from "../../../../src/transfer/events.ts";
import { uploadMemory } from "../../../../src/transfer/upload/upload-memory.ts";
import {
  unknownTraits,
  initialTraits,
  type RegistryTraits,
} from "../../../../src/transfer/upload/registry-traits.ts";
import { type CacheFixture, cacheFixture } from "../../../support/store/cache-fixture.ts";

const MiB = 1024 * 1024;
const day = 24 * 60 * 60 * 1000;
const host = "registry.example.com";

let fixture: CacheFixture;
let now: number;
let told: string[];

beforeEach(() => {
  fixture = cacheFixture();
  now = Date.UTC(2026, 1, 2);
  told = [];
});
afterEach(() => fixture.remove());

const file = () => join(fixture.cache.recordsDir, "upload-ways.json");
const emit = (event: TransferEvent) => {
  if (event.type === "detail") told.push(event.message);
};

/** A run that recalls, learns what `learn` does to what is seen, and keeps it. */
async function run(
  learn: (traits: RegistryTraits) => void = () => undefined,
  { at = host, traits = unknownTraits() }: { at?: string; traits?: RegistryTraits } = {},
): Promise<RegistryTraits> {
  const memory = uploadMemory(fixture.cache, emit, () => now);
  await memory.recall(at, traits);
  learn(traits);
  await memory.keep(at, traits);
  return traits;
}

const noChunks = (traits: RegistryTraits) => void traits.refused.set("chunks", "416 too large");
const refused = async (at = host) => [...(await run(undefined, { at })).refused];

describe("a later run", () => {
  test("knows what was refused, for one registry, and tells of it", async () => {
    await run(noChunks);
    expect(told).toEqual([]);
    now += 3 * day;
    expect(await refused()).toEqual([["chunks", "416 too large"]]);
    expect(told).toEqual([
      `${host}: a blob in chunks is tried last: it was rejected (416 too large) 3 days ago`,
    ]);
    expect(await refused("other.example.com")).toEqual([]);
  });

  test("knows how large a chunk may be", async () => {
    await run((traits) => (traits.largestChunk = 8 * MiB));
    expect((await run()).largestChunk).toBe(8 * MiB);
    expect(told.join()).toContain("chunks have at most 8388608 bytes");
  });

  test("forgets it a week after it was noticed, however often it was used meanwhile", async () => {
    await run(noChunks);
    now += 6 * day;
    await run((traits) => (traits.largestChunk = 8 * MiB));
    now += day;
    const traits = await run();
    expect([...traits.refused]).toEqual([]);
    expect(traits.largestChunk).toBe(8 * MiB);
  });

  test("corrects what turned out to be wrong", async () => {
    await run(noChunks);
    await run((traits) => {
      traits.refused.delete("chunks");
      traits.refused.set("patch", "405");
    });
    expect(await refused()).toEqual([["patch", "405"]]);
    await run((traits) => traits.refused.clear());
    expect(readFileSync(file(), "utf8")).toBe('{"version":1,"registries":[]}');
  });

  test("is told once of what several repositories of a registry share", async () => {
    await run(noChunks);
    const memory = uploadMemory(fixture.cache, emit, () => now);
    const traits = unknownTraits();
    await Promise.all([memory.recall(host, traits), memory.recall(host, traits)]);
    expect(told.length).toBe(1);
  });
});

describe("what is kept", () => {
  test("is readable by its owner only", async () => {
    await run(noChunks);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
  });

  test("is not what is known of a hosted registry anyway", async () => {
    const hosted = initialTraits(limitsOf("europe-docker.pkg.dev"));
    expect(hosted.refused.has("chunks")).toBe(true);
    await run((traits) => traits.refused.set("patch", "405"), { traits: hosted });
    expect((await refused()).map(([way]) => way)).toEqual(["patch"]);
  });

  test("is nothing where nothing was learned", async () => {
    await run();
    expect(() => statSync(fixture.cache.root)).toThrow();
  });

  test("has no control characters and an end, whatever the registry said", async () => {
    await run((traits) => traits.refused.set("chunks", `\u001b[31m${"x".repeat(5000)}`));
    const [[, reason = ""] = []] = await refused();
    expect(reason).toStartWith(" [31mxxx");
    expect(reason.length).toBe(300);
  });

  test("is of the last registries only", async () => {
    for (let index = 0; index < 66; index += 1) await run(noChunks, { at: `r${index}.test` });
    expect(await refused("r1.test")).toEqual([]);
    expect((await refused("r2.test")).length).toBe(1);
  });

  test("at the same time by several processes is also used by all", async () => {
    const hosts = Array.from({ length: 6 }, (_, index) => `r${index}.test`);
    await Promise.all(hosts.map((at) => run(noChunks, { at })));
    for (const at of hosts) expect((await refused(at)).length).toBe(1);
    await Promise.all([
      run((traits) => traits.refused.set("patch", "405")),
      run((traits) => traits.refused.set("chunks", "400")),
    ]);
    expect((await refused()).map(([way]) => way).toSorted()).toEqual(["chunks", "patch"]);
  });
});

describe("what is not believed", () => {
  const entry = { way: "chunks", reason: "no", noticed: Date.UTC(2026, 1, 1) };
  const document = (registry: object, more: object = {}) =>
    JSON.stringify({ version: 1, registries: [{ host, refused: [entry], ...registry }], ...more });

  test.each([
    ["is damaged", document({}).slice(0, -3)],
    ["is of another version", document({}, { version: 2 })],
    ["names another way", document({ refused: [{ ...entry, way: "mail" }] })],
    ["was noticed in the future", document({ refused: [{ ...entry, noticed: 9e12 }] })],
    ["has no time", document({ refused: [{ way: "chunks", reason: "no" }] })],
    ["would act on a terminal", document({ refused: [{ ...entry, reason: "\u001b[2J" }] })],
    ["is huge", document({}) + " ".repeat(1024 * 1024)],
    ["makes chunks tiny", document({ largestChunk: { bytes: 1, noticed: entry.noticed } })],
  ])("%s, and is replaced by what is learned next", async (_, text) => {
    mkdirSync(dirname(file()), { recursive: true });
    writeFileSync(file(), text);
    const traits = await run((learnt) => learnt.refused.set("patch", "405"));
    expect([...traits.refused.keys()]).toEqual(["patch"]);
    expect(traits.largestChunk).toBe(unknownTraits().largestChunk);
    expect((await refused()).map(([way]) => way)).toEqual(["patch"]);
  });

  test("is believed when it is whole", async () => {
    mkdirSync(dirname(file()), { recursive: true });
    writeFileSync(file(), document({}));
    expect((await refused()).length).toBe(1);
  });

  test.if(process.getuid?.() === 0)("belongs to somebody else", async () => {
    await run(noChunks);
    chownSync(file(), 12_345, 12_345);
    expect(await refused()).toEqual([]);
  });

  test("and never an error where there is a directory in its place", async () => {
    mkdirSync(file(), { recursive: true });
    await run(noChunks);
    expect(await refused()).toEqual([]);
    rmSync(file(), { recursive: true });
  });
});
