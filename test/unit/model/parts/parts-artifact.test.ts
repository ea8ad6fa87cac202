import { describe, expect, test } from "bun:test";
import { Segments } from "../../../../src/model/format/segment-list.ts";
import { inspectSource } from "../../../../src/model/jobs/inspect.ts";
import { pullWeights } from "../../../../src/model/pull/pull.ts";
import {
  isPartsManifest,
  parsePartsArtifact,
  partLayer,
  partsManifest,
} from "../../../../src/model/parts/parts-artifact.ts";
import { type Recipe, recipeType, serializeRecipe } from "../../../../src/model/parts/recipe.ts";
import type { Descriptor } from "../../../../src/oci/descriptor.ts";
import { dirname } from "node:path";
import { jobIn } from "../../../support/model/job.ts";
import { digest, textOf } from "../../../support/model/fixtures.ts";
import { entryOf, layoutBench, signal } from "../../../support/model/layout-bench.ts";
import { partType } from "../../../support/model/media-types.ts";

const recipe: Recipe = {
  split: { by: "tree/1", least: 65536, most: 536870912 },
  parts: [
    [digest("a"), 100],
    [digest("b"), 50],
  ],
  files: [
    {
      name: "a",
      dest: "/a",
      digest: digest("c"),
      size: 150,
      segments: Segments.of([
        [0, 0, 100],
        [1, 0, 50],
      ]),
    },
  ],
};
const config = serializeRecipe(recipe, "it");
const plain: Descriptor = { mediaType: partType, digest: digest("a"), size: 100 };
const packed: Descriptor = {
  mediaType: `${partType}+zstd`,
  digest: digest("d"),
  size: 20,
  annotations: {
    "vnd.ocibundle.part.digest.original": digest("b"),
    "vnd.ocibundle.part.size.original": "50",
  },
};

const parse = (layers: Descriptor[], mediaType: string = recipeType) =>
  parsePartsArtifact({ config: { mediaType, digest: digest("e"), size: 1 }, layers }, config, "it");

test("the manifest has exact bytes", () => {
  const layers = parse([plain, packed]).parts.map((part) => partLayer(part, { whole: false }));
  const manifest = partsManifest(config, layers);
  const { config: described } = JSON.parse(textOf(manifest.bytes)) as { config: Descriptor };
  expect(textOf(manifest.bytes)).toBe(
    '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",' +
      '"artifactType":"application/vnd.ocibundle.weights.parts.v1",' +
      '"config":{"mediaType":"application/vnd.ocibundle.weights.recipe.v1+json",' +
      `"digest":"${described.digest}","size":${config.byteLength}},` +
      `"layers":[{"mediaType":"${partType}","digest":"${digest("a")}","size":100},` +
      `{"mediaType":"${partType}+zstd","digest":"${digest("d")}","size":20,"annotations":` +
      `{"vnd.ocibundle.part.digest.original":"${digest("b")}",` +
      '"vnd.ocibundle.part.size.original":"50"}}]}',
  );
});

test("a file that is not split is stored as a plain artifact stores it", () => {
  const [part] = parse([plain, packed]).parts;
  if (part === undefined) throw new Error("there is a part");
  expect(partLayer(part, { whole: true }).mediaType).toBe("application/vnd.cog.weights.layer.v1");
});

describe("layers and parts", () => {
  test("are matched by digest, or by the digest of the original", () => {
    expect(parse([packed, plain]).parts).toEqual([
      {
        digest: digest("a"),
        size: 100,
        encoding: "none",
        stored: { digest: digest("a"), size: 100 },
      },
      {
        digest: digest("b"),
        size: 50,
        encoding: "zstd",
        stored: { digest: digest("d"), size: 20 },
      },
    ]);
  });

  test("a part as it is goes before another form of it", () => {
    const raw = { mediaType: partType, digest: digest("b"), size: 50 };
    for (const layers of [
      [plain, packed, raw],
      [plain, raw, packed],
    ]) {
      expect(parse(layers).parts[1]?.encoding).toBe("none");
    }
  });

  test.each<[string, Descriptor[], string]>([
    ["none for a part", [plain], "is not among the layers"],
    ["another size", [{ ...plain, size: 99 }, packed], "has 99 bytes in its layer and 100"],
    [
      "another original size",
      [
        plain,
        {
          ...packed,
          annotations: { ...packed.annotations, "vnd.ocibundle.part.size.original": "51" },
        },
      ],
      "has 51 bytes in its layer and 50",
    ],
    ["a form that is larger than any", [plain, { ...packed, size: 65_637 }], "are too large"],
    [
      "an original size that is no number",
      [
        plain,
        {
          ...packed,
          annotations: { ...packed.annotations, "vnd.ocibundle.part.size.original": "-5" },
        },
      ],
      "must be a number of bytes",
    ],
    [
      "an original digest that is none",
      [
        plain,
        {
          ...packed,
          annotations: { ...packed.annotations, "vnd.ocibundle.part.digest.original": "x" },
        },
      ],
      "must be a digest",
    ],
    ["no original digest", [plain, { ...packed, annotations: {} }], "is not among the layers"],
    [
      "an unknown form",
      [plain, { ...packed, mediaType: `${partType}+xor` }],
      `is stored as "${partType}+xor", which is not supported`,
    ],
    [
      "a raw layer under another part's digest",
      [plain, { ...packed, mediaType: partType }],
      "is not among the layers",
    ],
  ])("%s is refused", (_, layers, message) => {
    expect(() => parse(layers)).toThrow(message);
  });

  test("a config that is not a recipe is refused", () => {
    expect(() => parse([plain, packed], "application/json")).toThrow("is not a recipe");
  });
});

const isOf = (artifactType: string | undefined, mediaType: string) =>
  isPartsManifest({ artifactType, config: { mediaType } });

test("parts are known by the artifact type, or by the recipe where there is no type", () => {
  expect(isOf("application/vnd.ocibundle.weights.parts.v1", "application/json")).toBe(true);
  expect(isOf(undefined, recipeType)).toBe(true);
  // Plain weights may have a recipe too.
  expect(isOf("application/vnd.cog.weights.v1", recipeType)).toBe(false);
  expect(isOf(undefined, "application/json")).toBe(false);
});

test("a model in parts is shown with its files, and pulled", async () => {
  const bench = await layoutBench();
  const layers = await Promise.all([
    bench.blob("first part", partType),
    bench.blob("second", partType),
  ]);
  const bytes = serializeRecipe(
    {
      split: recipe.split,
      parts: layers.map(({ digest: of, size }) => [of as `sha256:${string}`, size] as const),
      files: [
        {
          name: "a",
          dest: "/src/a.bin",
          digest: digest("c"),
          size: 16,
          segments: Segments.of([
            [0, 0, 10],
            [1, 0, 6],
          ]),
        },
      ],
    },
    "it",
  );
  await bench.blob(textOf(bytes), recipeType);
  const root = partsManifest(bytes, layers);
  await bench.layout.writeManifest(root, "alone", signal);
  const marks = { annotations: { "vnd.cog.reference.type": "weights" } };
  const index = await bench.index(entryOf(root, marks));
  await bench.layout.writeManifest(index, "v1", signal);
  const job = jobIn(dirname(bench.directory));
  for (const [tag, type] of [
    ["alone", "weights"],
    ["v1", "bundle"],
  ]) {
    const source = `oci:layout:${tag}`;
    expect(await inspectSource(job, source)).toMatchObject({
      type,
      weights: { format: "parts", size: 16, files: [{ name: "a", dest: "/src/a.bin", size: 16 }] },
    });
    const output = `out-${tag}`;
    await pullWeights(job, { source, output, only: [], force: false, useCache: false });
    expect(await Bun.file(`${job.cwd}/${output}/src/a.bin`).text()).toBe("first partsecond");
  }
});
