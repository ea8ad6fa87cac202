import { describe, expect, test } from "bun:test";
import { existsSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { serveModel } from "../support/attacks/model-server.ts";
import { makePartsModel } from "../support/attacks/parts-model.ts";
import {
  compressibleBytes,
  filesBelow,
  openBench,
  randomBytes,
  sameBytes,
  seeded,
} from "../support/attacks/program-run.ts";

const MiB = 1024 * 1024;

const filesOf = (bytes: typeof randomBytes, seed: number) => {
  const part = (size: number, number: number) => bytes(size, seed * 100 + number);
  const shared = part(2 * MiB, 1);
  return [
    { name: "a.safetensors", parts: [part(5000, 2), shared, part(3 * MiB, 3), part(MiB, 4)] },
    { name: "b.safetensors", parts: [part(6000, 5), part(4 * MiB, 6), shared] },
    { name: "small.json", parts: [part(800, 7)] },
  ];
};

const ways = [
  { name: "raw parts, through the cache", packed: false, flags: [] },
  { name: "packed parts, without the cache", packed: true, flags: ["--no-cache"] },
] as const;

const kills = 6;

describe("a pull of parts that is killed at any moment is gone on with, and fetches little again", () => {
  for (const [index, { name, packed, flags }] of ways.entries()) {
    test.concurrent(
      name,
      async () => {
        const next = seeded(index + 11);
        const model = makePartsModel(filesOf(packed ? compressibleBytes : randomBytes, index + 1), {
          packed,
        });
        await using server = await serveModel(model, () => ({ pause: 8 }));
        using bench = openBench("kill-parts");
        const target = bench.path("models");
        const args = ["pull", server.reference, "-o", target, ...flags];
        let sent = 0;
        for (let round = 0; round < kills; round += 1) {
          const before = server.bytesSent();
          const running = bench.start(args);
          await Promise.race([
            server.sent(before + (0.4 + next() * 0.4) * model.size),
            running.ended,
          ]);
          await Bun.sleep(next() * 10);
          running.kill("SIGKILL");
          await running.ended;
          for (const { dest, bytes } of model.weights) {
            const path = join(target, dest);
            if (existsSync(path)) expect(sameBytes(path, bytes)).toBe(true);
          }
        }
        const { code, stderr } = await bench.run(args);
        sent = server.bytesSent();
        expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
        for (const { dest, bytes } of model.weights) {
          expect(sameBytes(join(target, dest), bytes)).toBe(true);
        }
        const files = model.weights.map(({ dest }) => dest.slice(1));
        expect(filesBelow(target)).toEqual([...files, "src/weights/.cog/ready"].toSorted());
        for (const directory of ["tmp", "assembled/tmp"]) {
          expect(filesBelow(join(bench.cache, directory))).toEqual([]);
        }
        // Of each kill what was on its way, and what had not been noted yet.
        expect(sent).toBeLessThan(model.size + kills * 3 * MiB);
      },
      120_000,
    );
  }
});

describe("a pull of the next version", () => {
  test("goes on without a seed that is cut or changed while it is read", async () => {
    const parts = [...Array(6).keys()].map((number) => randomBytes(2 * MiB, 900 + number));
    const model = makePartsModel([{ name: "a.bin", parts }]);
    await using server = await serveModel(model);
    using bench = openBench("seeds");
    const seed = bench.path("seed.bin");
    const whole = Buffer.concat(parts);
    for (const spoil of [
      () => truncateSync(seed, 5 * MiB),
      () => writeFileSync(seed, randomBytes(whole.length, 5)),
    ]) {
      writeFileSync(seed, whole);
      const target = bench.path("models");
      server.forget();
      const running = bench.start(["pull", server.reference, target, "--seed", seed, "--no-cache"]);
      // From here on it looks into the seed, and copies it.
      while (server.manifestsAsked() === 0) await Bun.sleep(1);
      spoil();
      expect((await running.ended).code).toBe(0);
      expect(sameBytes(join(target, "src/weights/a.bin"), whole)).toBe(true);
      rmSync(target, { recursive: true });
    }
  });

  test("two pulls with one seed at the same time are both right", async () => {
    const parts = [...Array(4).keys()].map((number) => randomBytes(MiB, 700 + number));
    const model = makePartsModel([{ name: "a.bin", parts }]);
    await using server = await serveModel(model);
    using bench = openBench("two-seeds");
    const seed = bench.path("seed.bin");
    writeFileSync(seed, Buffer.concat(parts.slice(0, 3)));
    const targets = [bench.path("one"), bench.path("two")];
    const runs = targets.map((target) =>
      bench.run(["pull", server.reference, target, "--seed", seed]),
    );
    for (const { code } of await Promise.all(runs)) expect(code).toBe(0);
    for (const target of targets) {
      expect(sameBytes(join(target, "src/weights/a.bin"), Buffer.concat(parts))).toBe(true);
    }
  });
});
