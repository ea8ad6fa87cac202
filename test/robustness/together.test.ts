import { describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { makeModel, serveModel } from "../support/attacks/model-server.ts";
import {
  compressibleBytes,
  type Ended,
  filesBelow,
  openBench,
  randomBytes,
  sameBytes,
} from "../support/attacks/program-run.ts";
import { promptly } from "../support/promptly.ts";

const MiB = 1024 * 1024;
const model = makeModel([
  { name: "large", bytes: randomBytes(9 * MiB, 11) },
  { name: "packed", bytes: compressibleBytes(6 * MiB, 12), compression: "zstd" },
  { name: "small", bytes: randomBytes(1000, 13) },
]);
const files = [
  "src/weights/.cog/ready",
  ...model.weights.map(({ dest }) => dest.slice(1)),
].toSorted();

function expectSuccess(...all: Ended[]): void {
  for (const { code, stderr } of all) {
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  }
}

function expectWhole(target: string): void {
  expect(filesBelow(target)).toEqual(files);
  for (const { dest, bytes } of model.weights) {
    expect(sameBytes(join(target, dest), bytes)).toBe(true);
  }
}

describe("two pulls at once", () => {
  test("into one cache fetch each byte once", async () => {
    await using server = await serveModel(model, () => ({ pause: 2 }));
    using bench = openBench("together");
    const targets = ["one", "two", "three"];
    const ended = await Promise.all(
      targets.map((target) => bench.run(["pull", server.reference, "-o", target])),
    );
    expectSuccess(...ended);
    for (const target of targets) expectWhole(bench.path(target));
    expect(server.bytesAsked()).toBe(model.size);
    expect(filesBelow(join(bench.cache, "tmp"))).toEqual([]);
    expect(filesBelow(join(bench.cache, "locks"))).toEqual([]);
  }, 60_000);

  const ways: Record<string, { flags: string[]; caches: string[] }> = {
    "through one cache": { flags: [], caches: ["cache", "cache"] },
    "through caches of their own": { flags: [], caches: ["cache-1", "cache-2"] },
    "without the cache": { flags: ["--no-cache"], caches: ["cache", "cache"] },
    "without the cache, by users who share nothing": {
      flags: ["--no-cache"],
      caches: ["cache-1", "cache-2"],
    },
  };
  for (const [way, { flags, caches }] of Object.entries(ways)) {
    test(`into one directory fetch each byte once, ${way}`, async () => {
      await using server = await serveModel(model, () => ({ pause: 2 }));
      using bench = openBench("together");
      const args = ["pull", server.reference, "-o", "models", ...flags];
      const ended = await Promise.all(
        caches.map((cache) => bench.run(args, { OCIBUNDLE_CACHE: bench.path(cache) })),
      );
      expectSuccess(...ended);
      expectWhole(bench.path("models"));
      expect(server.bytesAsked()).toBe(model.size);
      // One of them fetched, and the other found everything there.
      expect(ended.filter(({ stdout }) => stdout.endsWith("up to date\n")).length).toBe(1);
    }, 60_000);
  }

  test("the second goes on where the first is killed", async () => {
    await using server = await serveModel(model, () => ({ pause: 2 }));
    using bench = openBench("together");
    const args = ["pull", server.reference, "-o", "models"];
    const first = bench.start(args);
    await server.sent(model.size * 0.2);
    const second = bench.start(args);
    await server.sent(model.size * 0.6);
    first.kill("SIGKILL");
    expectSuccess(await second.ended);
    expectWhole(bench.path("models"));
    expect(server.bytesAsked()).toBeLessThan(model.size * 1.9);
  }, 60_000);

  test("who waits can be interrupted", async () => {
    await using server = await serveModel(model);
    server.holdAfter(MiB);
    using bench = openBench("together");
    const args = ["pull", server.reference, "-o", "models"];
    const first = bench.start(args);
    await server.sent(MiB);
    const second = bench.start(args);
    while (server.manifestsAsked() < 2) await Bun.sleep(5);
    await Bun.sleep(50);
    const asked = performance.now();
    second.kill("SIGINT");
    expect((await second.ended).code).toBe(130);
    expect(performance.now() - asked).toBeLessThan(promptly);
    first.kill("SIGTERM");
    expect((await first.ended).code).toBe(143);
    server.holdAfter(Infinity);
    expectSuccess(await bench.run(args));
    expectWhole(bench.path("models"));
  }, 60_000);

  test("with pruning of the cache in between leave every file whole", async () => {
    await using server = await serveModel(model, () => ({ pause: 1 }));
    using bench = openBench("together");
    const done = new AbortController();
    const pruning = (async () => {
      while (!done.signal.aborted)
        expectSuccess(await bench.run(["cache", "prune", "--max-size", "0"]));
    })();
    try {
      for (let round = 0; round < 3; round += 1) {
        expectSuccess(await bench.run(["pull", server.reference, "-o", "models"]));
        expectWhole(bench.path("models"));
        rmSync(bench.path("models"), { recursive: true });
      }
    } finally {
      done.abort();
      await pruning;
    }
  }, 60_000);
});
