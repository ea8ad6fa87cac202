import { describe, expect, test } from "bun:test";
import { readModelImage } from "../../../../src/model/graph/image-part.ts";
import { parsePlatform } from "../../../../src/oci/platform.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { failure } from "../bench.ts";
import { amd64, arm64, entryOf, layoutBench, type LayoutBench, signal } from "../layout-bench.ts";

const unknown = { os: "unknown", architecture: "unknown" };

const weightsOf = async ({ manifest, blob }: LayoutBench) =>
  manifest({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: "application/vnd.cog.weights.v1",
    config: await blob("{}", mediaTypes.ociEmpty),
    layers: [],
  });

describe("a single image", () => {
  test("has the platform of its config, variant included", async () => {
    const bench = await layoutBench();
    const root = await bench.image({ ...arm64, variant: "v8" }, "layer");
    const { images } = await readModelImage(bench.layout, root, undefined, signal);
    expect(images).toEqual([entryOf(root, { platform: { ...arm64, variant: "v8" } })]);
  });

  test("is taken when it is the one that was asked for, and only then", async () => {
    const bench = await layoutBench();
    const root = await bench.image(arm64, "layer");
    const ask = (platform: string) =>
      readModelImage(bench.layout, root, parsePlatform(platform), signal);
    expect((await ask("linux/arm64")).root).toBe(root);
    expect(await failure(ask("linux/amd64"))).toMatchObject({
      code: "not_found",
      message: "oci:layout: no image for linux/amd64",
      hint: "it has linux/arm64",
    });
  });

  test("is no image when it is an artifact", async () => {
    const bench = await layoutBench();
    const root = await weightsOf(bench);
    expect(await failure(readModelImage(bench.layout, root, undefined, signal))).toMatchObject({
      code: "file",
      message: 'oci:layout: an artifact of type "application/vnd.cog.weights.v1", not an image',
      hint: "--image takes an image; weights come from weights.lock",
    });
  });

  test("is no image when it is a document of another kind", async () => {
    const bench = await layoutBench();
    const root = await bench.manifest({ mediaType: "application/vnd.example+json" });
    expect((await failure(readModelImage(bench.layout, root, undefined, signal))).message).toBe(
      'oci:layout: "application/vnd.example+json" is not an image',
    );
  });
});

const bundle = async () => {
  const bench = await layoutBench();
  const one = entryOf(await bench.image(amd64, "one"), { platform: amd64 });
  const two = entryOf(await bench.image(arm64, "two"), {
    platform: { ...arm64, variant: "v8" },
  });
  const attestation = entryOf(await bench.image(unknown, "attestation"), {
    platform: unknown,
    annotations: { "vnd.docker.reference.type": "attestation-manifest" },
  });
  const weights = entryOf(await weightsOf(bench), {
    artifactType: "application/vnd.cog.weights.v1",
    platform: unknown,
  });
  const root = await bench.index(weights, attestation, two, one);
  return { ...bench, root, one, two, attestation };
};

describe("an index", () => {
  test("gives every platform, keeps attestations and leaves out weights, wherever they stand", async () => {
    const { layout, root, one, two, attestation } = await bundle();
    const image = await readModelImage(layout, root, undefined, signal);
    expect(image).toEqual({ root, images: [two, one], kept: [attestation] });
  });

  test("gives the platform asked for, whose variant counts where one is asked for", async () => {
    const { layout, root, two } = await bundle();
    const ask = (platform: string) => readModelImage(layout, root, parsePlatform(platform), signal);
    for (const platform of ["linux/arm64", "linux/arm64/v8"]) {
      const image = await ask(platform);
      expect(image.images).toEqual([two]);
      expect(image.kept).toEqual([]);
      expect(image.root.digest).toBe(two.digest);
    }
    expect(await failure(ask("linux/arm64/v7"))).toMatchObject({
      hint: "it has linux/arm64/v8, linux/amd64",
    });
  });

  test("of one image that says no platform is read as that image", async () => {
    const bench = await layoutBench();
    const only = await bench.image(arm64, "layer");
    const root = await bench.index(entryOf(only));
    const image = await readModelImage(bench.layout, root, undefined, signal);
    expect(image.images).toEqual([entryOf(only, { platform: arm64 })]);
  });

  test("without an image is refused", async () => {
    const bench = await layoutBench();
    const root = await bench.index();
    expect((await failure(readModelImage(bench.layout, root, undefined, signal))).message).toBe(
      "oci:layout: the index has no image in it",
    );
    const platform = parsePlatform("linux/amd64");
    expect((await failure(readModelImage(bench.layout, root, platform, signal))).hint).toBe(
      "it says no platform at all",
    );
  });
});
