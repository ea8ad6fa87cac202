import { describe, expect, test } from "bun:test";
import { digestOf } from "../../../../src/oci/digest.ts";
import type { RawManifest } from "../../../../src/oci/manifest.ts";
import {
  parseWeightsManifest,
  weightsManifest,
} from "../../../../src/model/format/weights-artifact.ts";
import { parseWeightsLock } from "../../../../src/model/format/weights-lock.ts";
import { bytesOf, digest, entry, fixture, textOf } from "../../../support/model/fixtures.ts";

const lock = () => parseWeightsLock(fixture("weights.lock"), "weights.lock");

const raw = (bytes: Uint8Array): RawManifest => ({
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  digest: digestOf(bytes),
  bytes,
});

const manifestOf = (...layers: unknown[]): RawManifest =>
  raw(
    bytesOf({
      schemaVersion: 2,
      config: {
        mediaType: "application/vnd.oci.empty.v1+json",
        digest: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        size: 2,
      },
      layers,
    }),
  );

const layer = (annotations: Record<string, string>, mediaType = "") => ({
  mediaType: `application/vnd.cog.weights.layer.v1${mediaType}`,
  digest: digest("a"),
  size: 10,
  annotations,
});

const annotated = (more: Record<string, string> = {}) => ({
  "vnd.cog.weights.name": "a",
  "vnd.cog.weights.dest": "/cache/a",
  "vnd.cog.weights.digest.original": digest("b"),
  "vnd.cog.weights.size.uncompressed": "20",
  ...more,
});

describe("writing", () => {
  test("gives the bytes of the format", () => {
    const manifest = weightsManifest(lock().files);
    expect(textOf(manifest.bytes)).toBe(textOf(fixture("weights-manifest.json")));
    const untitled = weightsManifest(lock().files, { titles: false });
    expect(textOf(untitled.bytes)).toBe(textOf(fixture("weights-manifest-1.json")));
    expect(manifest.digest).toBe(
      "sha256:6ed1100ac9a869b43f30cc1430125a408514aa7f9b128d0b9939be0b4c99b782",
    );
    expect(manifest.mediaType).toBe("application/vnd.oci.image.manifest.v1+json");
  });

  test("does not depend on the order of the entries or on what else they say", () => {
    const [first, second] = lock().files;
    if (first === undefined || second === undefined) throw new Error("no entries");
    const other = weightsManifest([{ ...second, contentType: "x/y", note: 1 }, first]);
    expect(other.digest).toBe(weightsManifest([first, second]).digest);
  });

  test("has a layer for each name, also where the bytes are the same", () => {
    const { layers } = JSON.parse(textOf(weightsManifest([entry("a"), entry("b")]).bytes));
    expect(layers.map((one: { digest: string }) => one.digest)).toEqual([digest("a"), digest("a")]);
  });

  test("leaves titles out where it would be too large with them", () => {
    const entries = Array.from({ length: 10_000 }, (_, index) => entry(String(index)));
    expect(weightsManifest(entries).bytes).toEqual(
      weightsManifest(entries, { titles: false }).bytes,
    );
    const fewer = weightsManifest(entries.slice(0, 9000));
    expect(textOf(fewer.bytes)).toContain("org.opencontainers.image.title");
  });

  test("refuses more files than a registry takes in a manifest", () => {
    const entries = Array.from({ length: 10_000 }, (_, index) =>
      entry(`weights-of-a-model-${index}`),
    );
    expect(() => weightsManifest(entries)).toThrow(
      /^10000 weight files make a manifest of \d+ bytes; registries accept at most 4194304$/,
    );
  });
});

describe("reading", () => {
  test("gives the entries back", () => {
    const { files } = lock();
    for (const file of files) delete file.contentType;
    expect(parseWeightsManifest(weightsManifest(files))).toEqual(files);
  });

  test("allows an earlier draft's source and another config", () => {
    const files = parseWeightsManifest(raw(fixture("draft-weights-manifest.json")));
    expect(files.map(({ name }) => name)).toEqual(["llama-3.1-8b", "tokenizer/vocab & <merges>"]);
  });

  test("takes digest and size of the layer for a file that is stored as it is", () => {
    const [file] = parseWeightsManifest(
      manifestOf(layer({ "vnd.cog.weights.name": "a", "vnd.cog.weights.dest": "/a" })),
    );
    expect(file).toMatchObject({ digestOriginal: digest("a"), sizeUncompressed: 10 });
  });

  test.each([
    [
      "a layer without a name",
      layer({ "vnd.cog.weights.dest": "/a" }),
      'layer sha256:aaaaaaaaaaaa: annotation "vnd.cog.weights.name" is missing',
    ],
    [
      "a layer without a dest",
      layer({ "vnd.cog.weights.name": "a" }),
      'entry "a": annotation "vnd.cog.weights.dest" is missing',
    ],
    [
      "a compressed layer that does not say what it was",
      layer({ "vnd.cog.weights.name": "a", "vnd.cog.weights.dest": "/a" }, "+zstd"),
      'entry "a": annotation "vnd.cog.weights.digest.original" is missing',
    ],
    [
      "a size that is no number",
      layer(annotated({ "vnd.cog.weights.size.uncompressed": "1e3" })),
      'entry "a": the annotation "vnd.cog.weights.size.uncompressed" must be a number of bytes, not "1e3"',
    ],
    [
      "a size that can't be counted",
      layer(annotated({ "vnd.cog.weights.size.uncompressed": "9999999999999999" })),
      'entry "a": sizeUncompressed must be a whole number of bytes below 2^53',
    ],
    [
      "a dest that leaves its directory",
      layer(annotated({ "vnd.cog.weights.dest": "/../etc/passwd" })),
      'entry "a": dest "/../etc/passwd" must not have a ".." component',
    ],
    [
      "a layer of an image",
      { ...layer(annotated()), mediaType: "application/vnd.oci.image.layer.v1.tar" },
      'entry "a": mediaType "application/vnd.oci.image.layer.v1.tar" is not',
    ],
    [
      "a layer with another digest algorithm",
      { ...layer(annotated()), digest: `sha512:${"a".repeat(128)}` },
      'entry "a": digest must be "sha256:"',
    ],
  ])("refuses %s", (_, one, message) => {
    expect(() => parseWeightsManifest(manifestOf(one), "weights")).toThrow(message);
  });

  test("refuses two layers for one dest", () => {
    const other = layer(annotated({ "vnd.cog.weights.name": "b" }));
    expect(() => parseWeightsManifest(manifestOf(layer(annotated()), other), "weights")).toThrow(
      'weights: entry "b": dest "/cache/a" is also used by "a"',
    );
  });

  test("refuses what is no manifest", () => {
    expect(() => parseWeightsManifest(raw(bytesOf([])), "weights")).toThrow(/^weights: /);
  });
});
