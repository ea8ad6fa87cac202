import { describe, expect, test } from "bun:test";
import { entryType, findWeights, modelIndex } from "../../../../src/model/format/model-index.ts";
import { weightsManifest } from "../../../../src/model/format/weights-artifact.ts";
import { parseWeightsLock } from "../../../../src/model/format/weights-lock.ts";
import type { Descriptor } from "../../../../src/oci/descriptor.ts";
import type { ImageIndex } from "../../../../src/oci/manifest.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { digest, entry, fixture, textOf } from "../../../support/model/fixtures.ts";

const image = (digit: string, architecture = "amd64", variant?: string): Descriptor => ({
  mediaType: mediaTypes.ociManifest,
  digest: digest(digit),
  size: 1234,
  platform: { os: "linux", architecture, ...(variant === undefined ? {} : { variant }) },
});

const attestation: Descriptor = {
  mediaType: mediaTypes.ociManifest,
  digest: digest("e"),
  size: 840,
  annotations: {
    "vnd.docker.reference.digest": digest("d"),
    "vnd.docker.reference.type": "attestation-manifest",
  },
  platform: { os: "unknown", architecture: "unknown" },
};

const weightsEntry = (digit: string, more: Partial<Descriptor> = {}): Descriptor => ({
  mediaType: mediaTypes.ociManifest,
  artifactType: "application/vnd.cog.weights.v1",
  digest: digest(digit),
  size: 5678,
  platform: { os: "unknown", architecture: "unknown" },
  ...more,
});

const indexOf = (...manifests: Descriptor[]): ImageIndex => ({ schemaVersion: 2, manifests });
const weights = weightsManifest([entry("a")]);
const manifestsOf = (bytes: Uint8Array) => JSON.parse(textOf(bytes)).manifests;

/** The annotations of the weights in an index of these images. */
const reference = (images: Descriptor[]): unknown =>
  manifestsOf(modelIndex({ images, kept: [attestation], weights: [weights] }).bytes).at(-1)
    .annotations;

describe("writing", () => {
  test("gives the bytes of the format", () => {
    const { files } = parseWeightsLock(fixture("weights.lock"), "weights.lock");
    const index = modelIndex({ images: [image("d")], kept: [], weights: [weightsManifest(files)] });
    expect(textOf(index.bytes)).toBe(textOf(fixture("model-index.json")));
    expect(index.digest).toBe(
      "sha256:c6885dab455939de0a3a48aa06a321c9270e7fd5350f5bbb15a5ab2f0f00f595",
    );
  });

  test("names the image only where there is exactly one", () => {
    const type = { "vnd.cog.reference.type": "weights" };
    expect(reference([])).toEqual(type);
    expect(reference([image("1")])).toEqual({ ...type, "vnd.cog.reference.digest": digest("1") });
    expect(reference([image("1"), image("2", "arm64")])).toEqual(type);
  });

  test("keeps what else the source's index had as it was", () => {
    const index = modelIndex({ images: [image("1")], kept: [attestation], weights: [weights] });
    expect(manifestsOf(index.bytes)[1]).toEqual(attestation);
  });

  test("works without weights", () => {
    const index = modelIndex({ images: [image("1")], kept: [] });
    expect(manifestsOf(index.bytes)).toEqual([image("1")]);
  });
});

describe("the type of an entry", () => {
  test.each<[string, string, Descriptor]>([
    ["an image", "image", image("1")],
    ["an image of Docker's", "image", { ...image("1"), mediaType: mediaTypes.dockerManifest }],
    [
      "a windows image",
      "image",
      { ...image("1"), platform: { os: "windows", architecture: "amd64" } },
    ],
    ["weights by their artifact type", "weights", weightsEntry("1")],
    [
      "weights by their annotation",
      "weights",
      { ...image("1"), annotations: { "vnd.cog.reference.type": "weights" } },
    ],
    ["an attestation", "other", attestation],
    [
      "an entry without a platform",
      "other",
      { mediaType: mediaTypes.ociManifest, digest: digest("1"), size: 1 },
    ],
    [
      "weights of a later format of Cog's",
      "other",
      weightsEntry("1", {
        artifactType: "application/vnd.cog.weight.v1",
        annotations: { "vnd.cog.reference.type": "weights" },
      }),
    ],
    ["another artifact", "other", weightsEntry("1", { artifactType: "application/spdx+json" })],
  ])("%s is %s", (_, type, descriptor) => {
    expect(entryType(descriptor)).toBe(type as ReturnType<typeof entryType>);
  });
});

describe("finding", () => {
  const index = indexOf(weightsEntry("9"), attestation, image("1"));
  test("the weights wherever they stand", () => {
    expect(findWeights(index)?.digest).toBe(digest("9"));
    expect(findWeights(indexOf(image("1")))).toBeUndefined();
  });

  test("two weights where one is needed are an error that names both", () => {
    const two = indexOf(weightsEntry("7"), image("1"), weightsEntry("8"));
    expect(() => findWeights(two, "acme/llama")).toThrow(
      `acme/llama: 2 weights artifacts: ${digest("7")}, ${digest("8")}`,
    );
  });
});
