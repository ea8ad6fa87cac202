import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Segment, Segments } from "../../src/model/format/segment-list.ts";
import { lockPartsMember, plainEntry } from "../../src/model/format/weight-entry.ts";
import { serializeWeightsLock } from "../../src/model/format/weights-lock.ts";
import { type LockParts, lockPartsValue } from "../../src/model/parts/lock-parts.ts";
import { asItIs, partLayer, partsManifest } from "../../src/model/parts/parts-artifact.ts";
import { serializeRecipe } from "../../src/model/parts/recipe.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { type Model, serveModel } from "../support/attacks/model-server.ts";
import {
  type Bench,
  type Ended,
  openBench,
  randomBytes,
  sameBytes,
} from "../support/attacks/program-run.ts";
import { recordingRegistry } from "../support/registry/recording-registry.ts";

const MiB = 1024 * 1024;
const name = "experts";
const dest = `/src/weights/${name}.safetensors`;

interface ModelInParts extends Model {
  parts: LockParts;
}

/** A file of 9 MB whose segments lie in 440 parts by turns, as the tensors of a mixture of experts do. */
function modelOf(count: number): ModelInParts {
  const bytes = randomBytes(140_800 * 64, 1);
  const length = bytes.length / count;
  const pieces = Array.from({ length: 440 }, (): Uint8Array[] => []);
  for (let at = 0; at < count; at += 1) {
    pieces[at % pieces.length]?.push(bytes.subarray(at * length, (at + 1) * length));
  }
  const parts = pieces.map((some) => new Uint8Array(Buffer.concat(some)));
  const stored = parts.map((part) => asItIs([digestOf(part), part.length]));
  const segments = Segments.of(
    Array.from({ length: count }, (_, at): Segment => {
      return [at % parts.length, Math.floor(at / parts.length) * length, length];
    }),
  );
  const split = { by: "tree/1", least: 65_536, most: 536_870_912 };
  const file = { name, dest, digest: digestOf(bytes), size: bytes.length };
  const recipe = serializeRecipe(
    {
      split,
      parts: stored.map(({ digest, size }) => [digest, size]),
      files: [{ ...file, segments }],
    },
    "test",
  );
  return {
    weights: [{ name, dest, bytes, compression: "none" }],
    manifest: partsManifest(
      recipe,
      stored.map((part) => partLayer(part, { whole: false })),
    ),
    blobs: new Map([recipe, ...parts].map((blob) => [digestOf(blob), blob])),
    size: bytes.length,
    parts: { split, parts: stored, segments },
  };
}

/** The least memory of two runs, in bytes: when memory is cleared is not the same each time. */
async function leastOfTwo(run: (bench: Bench) => Promise<Ended>): Promise<number> {
  let least = Infinity;
  for (let round = 0; round < 2; round += 1) {
    using bench = openBench("many-segments");
    const { code, stderr, peakMemory } = await run(bench);
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    least = Math.min(least, peakMemory);
  }
  return least;
}

/** What a pull takes, in bytes. */
async function memoryOfPull(model: Model, flags: readonly string[] = []): Promise<number> {
  await using server = await serveModel(model);
  return await leastOfTwo(async (bench) => {
    const target = bench.path("models");
    const ended = await bench.run(["pull", server.reference, "-o", target, ...flags]);
    for (const { bytes } of model.weights) {
      expect(sameBytes(join(target, dest), bytes)).toBe(true);
    }
    return ended;
  });
}

/** What a push of the file with a lock that lists its parts takes, in bytes. */
async function memoryOfPush({ weights: [weight], parts }: ModelInParts): Promise<number> {
  const { host, done } = await recordingRegistry();
  if (weight === undefined) throw new Error("a model without weights");
  const { bytes } = weight;
  const files = [
    {
      ...plainEntry({ name, dest, digest: digestOf(bytes), size: bytes.length }),
      [lockPartsMember]: lockPartsValue(parts),
    },
  ];
  const lock = serializeWeightsLock({ version: "1", created: "2026-01-01T00:00:00Z", files });
  let tag = 0;
  return await leastOfTwo(async (bench) => {
    mkdirSync(bench.path("weights"));
    writeFileSync(bench.path("weights", `${name}.safetensors`), bytes);
    writeFileSync(bench.path("weights.lock"), lock);
    const target = `acme/model${(tag += 1)}`;
    const ended = await bench.run([
      "push",
      "--parts",
      "--weights",
      "weights",
      `${host}/${target}:v1`,
    ]);
    expect(done).toContain(`PUT ${target}/manifests/v1`);
    return ended;
  });
}

/** What a comparison of a model with itself takes, in bytes. */
async function memoryOfDiff(model: Model): Promise<number> {
  await using server = await serveModel(model);
  return await leastOfTwo(async (bench) =>
    bench.run(["diff", "-v", server.reference, server.reference]),
  );
}

const [few, many] = [modelOf(440), modelOf(140_800)];

test
  .skipIf(process.platform !== "linux")
  .each<[what: string, memoryOf: (model: ModelInParts) => Promise<number>, most: number]>([
    // 30 to 35 MB; objects in place of the numbers took 70.
    ["pull", (model) => memoryOfPull(model), 50],
    ["pull --no-cache", (model) => memoryOfPull(model, ["--no-cache"]), 50],
    ["push", memoryOfPush, 70],
    ["diff -v", memoryOfDiff, 70],
  ])(
  "a %s of 140,000 segments takes little more memory than one of as many bytes in 440",
  async (_, memoryOf, most) => {
    const least = await memoryOf(few);
    expect(least).toBeGreaterThan(0);
    const more = (await memoryOf(many)) - least;
    expect(more).toBeLessThan(most * MiB);
  },
  60_000,
);
