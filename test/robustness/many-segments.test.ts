import { expect, test } from "bun:test";
import { join } from "node:path";
import { type Segment, Segments } from "../../src/model/format/segment-list.ts";
import { asItIs, partLayer, partsManifest } from "../../src/model/parts/parts-artifact.ts";
import { serializeRecipe } from "../../src/model/parts/recipe.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { type Model, serveModel } from "../support/attacks/model-server.ts";
import { openBench, randomBytes, sameBytes } from "../support/attacks/program-run.ts";

const MiB = 1024 * 1024;
const name = "experts.safetensors";
const dest = `/src/weights/${name}`;

/** A file of 9 MB whose segments lie in 440 parts by turns, as the tensors of a mixture of experts do. */
function modelOf(count: number): Model {
  const bytes = randomBytes(140_800 * 64, 1);
  const length = bytes.length / count;
  const pieces = Array.from({ length: 440 }, (): Uint8Array[] => []);
  for (let at = 0; at < count; at += 1) {
    pieces[at % pieces.length]?.push(bytes.subarray(at * length, (at + 1) * length));
  }
  const parts = pieces.map((some) => new Uint8Array(Buffer.concat(some)));
  const stored = parts.map((part) => asItIs([digestOf(part), part.length]));
  const segments = Array.from({ length: count }, (_, at): Segment => {
    return [at % parts.length, Math.floor(at / parts.length) * length, length];
  });
  const file = { name, dest, digest: digestOf(bytes), size: bytes.length };
  const recipe = serializeRecipe(
    {
      split: { by: "tree/1", least: 65_536, most: 536_870_912 },
      parts: stored.map(({ digest, size }) => [digest, size]),
      files: [{ ...file, segments: Segments.of(segments) }],
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
  };
}

/** The least memory of two pulls, in bytes: when memory is cleared is not the same each time. */
async function memoryOf(model: Model): Promise<number> {
  await using server = await serveModel(model);
  let least = Infinity;
  for (let round = 0; round < 2; round += 1) {
    using bench = openBench("many-segments");
    const target = bench.path("models");
    const { code, stderr, peakMemory } = await bench.run(["pull", server.reference, "-o", target]);
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    for (const { bytes } of model.weights) {
      expect(sameBytes(join(target, dest), bytes)).toBe(true);
    }
    least = Math.min(least, peakMemory);
  }
  return least;
}

test.skipIf(process.platform !== "linux")(
  "a pull of 140,000 segments takes little more memory than one of as many bytes in 440",
  async () => {
    const few = await memoryOf(modelOf(440));
    expect(few).toBeGreaterThan(0);
    // 30 to 35 MB; objects in place of the numbers took 70.
    expect((await memoryOf(modelOf(140_800))) - few).toBeLessThan(50 * MiB);
  },
  60_000,
);
