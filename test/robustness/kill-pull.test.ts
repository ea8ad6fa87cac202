import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../src/oci/digest.ts";
import {
  makeModel,
  type Model,
  type ModelServer,
  serveModel,
  type Weight,
} from "../support/attacks/model-server.ts";
import {
  type Bench,
  compressibleBytes,
  filesBelow,
  openBench,
  randomBytes,
  sameBytes,
  seeded,
} from "../support/attacks/program-run.ts";

const MiB = 1024 * 1024;

const weightsOf = (compression: NonNullable<Weight["compression"]>, seed: number): Weight[] => {
  const bytes = compression === "none" ? randomBytes : compressibleBytes;
  return [
    { name: "large", bytes: bytes(12 * MiB, seed), compression },
    { name: "middle", bytes: bytes(5 * MiB, seed + 1), compression },
    { name: "nested", bytes: bytes(MiB, seed + 2), compression, dest: "/src/weights/a/b/nested" },
    { name: "small", bytes: bytes(1000, seed + 3), compression },
    { name: "twin", bytes: bytes(1000, seed + 3), compression },
    { name: "empty", bytes: new Uint8Array(), compression: "gzip" },
  ];
};

const ways = [
  { name: "plain weights, through the cache", compression: "none", flags: [] },
  { name: "zstd weights, through the cache", compression: "zstd", flags: [] },
  { name: "plain weights, without the cache", compression: "none", flags: ["--no-cache"] },
  { name: "zstd weights, without the cache", compression: "zstd", flags: ["--no-cache"] },
] as const;

/** Kills of each way. With those of copies they are 50; those of writes to the cache alone are 50 more. */
const killsOfEach = 8;

/** Runs that may come to their end before their kill, on a machine that is fast or busy. */
const mostMisses = 40;

/** What holds at any moment: a final name has the right bytes, in the target and in the cache. */
function expectNothingWrong({ weights }: Model, target: string, cache: string): void {
  for (const { dest, bytes } of weights) {
    const path = join(target, dest);
    if (existsSync(path)) expect(sameBytes(path, bytes)).toBe(true);
  }
  const ready = join(target, "src/weights/.cog/ready");
  if (existsSync(ready)) expectWhole({ weights }, target);
  const blobs = join(cache, "blobs/sha256");
  for (const hex of existsSync(blobs) ? readdirSync(blobs) : []) {
    expect(digestOf(readFileSync(join(blobs, hex)))).toBe(`sha256:${hex}`);
  }
}

function expectWhole({ weights }: Pick<Model, "weights">, target: string): void {
  for (const { dest, bytes } of weights) expect(sameBytes(join(target, dest), bytes)).toBe(true);
}

/** What holds after a success: every file, the marker, and nothing else, neither here nor in the cache. */
function expectDone(model: Model, target: string, cache: string): void {
  expectWhole(model, target);
  const files = model.weights.map(({ dest }) => dest.slice(1));
  expect(filesBelow(target)).toEqual([...files, "src/weights/.cog/ready"].toSorted());
  expect(filesBelow(join(cache, "tmp"))).toEqual([]);
  // The lock of who was killed while it had a file in its place is an empty file that nobody holds.
  for (const lock of filesBelow(join(cache, "locks"))) {
    if (!lock.endsWith(".holder")) expect(statSync(join(cache, "locks", lock)).size).toBe(0);
  }
}

/**
 * Kills a pull at a moment that `next` chooses: while bytes come, by how many have gone out; or after
 * the last one, while what came is checked, decompressed, flushed and put in its place.
 */
async function killOnce(
  bench: Bench,
  server: ModelServer,
  args: readonly string[],
  size: number,
  next: () => number,
): Promise<boolean> {
  server.forget();
  const late = next() < 0.4;
  const running = bench.start(args);
  await Promise.race([server.sent(late ? size : next() * size), running.ended]);
  await Bun.sleep(next() * (late ? 120 : 10));
  running.kill("SIGKILL");
  return (await running.ended).signal === "SIGKILL";
}

describe("a pull that is killed at any moment leaves nothing wrong, and the next one makes it whole", () => {
  for (const [index, { name, compression, flags }] of ways.entries()) {
    test.concurrent(
      name,
      async () => {
        const next = seeded(index + 1);
        const model = makeModel(weightsOf(compression, index));
        await using server = await serveModel(model, () => ({ pause: 1 }));
        using bench = openBench("kill");
        const target = bench.path("models");
        const args = ["pull", server.reference, "-o", target, ...flags];
        let kills = 0;
        let misses = 0;
        for (let round = 0; kills < killsOfEach; round += 1) {
          // Again and again before it comes through: each goes on from what the one before has left.
          for (let more = 1 + Math.floor(next() * 2); more > 0; more -= 1) {
            if (await killOnce(bench, server, args, model.size, next)) kills += 1;
            else misses += 1;
            expectNothingWrong(model, target, bench.cache);
          }
          const { code, stderr } = await bench.run(args);
          expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
          expectDone(model, target, bench.cache);
          rmSync(target, { recursive: true });
          if (round % 2 === 0) rmSync(bench.cache, { recursive: true, force: true });
          expect(misses).toBeLessThan(mostMisses);
        }
        expect((await bench.run(["cache", "prune"])).code).toBe(0);
        expect(filesBelow(join(bench.cache, "locks"))).toEqual([]);
      },
      120_000,
    );
  }
});
