import { describe, expect, test } from "bun:test";
import { mkdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspectRaw, inspectSource } from "../../../../src/model/jobs/inspect.ts";
import { maxLockBytes } from "../../../../src/model/format/weights-lock.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { jobIn, preparedJob } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import {
  amd64,
  arm64,
  entryOf,
  layoutBench,
  signal,
  weightsOf,
} from "../../../support/model/layout-bench.ts";

const buildFrom = (directory: string): string =>
  `make a layout of the weights, and use oci:model: \`ocibundle lock ${directory}\`, then \`ocibundle build -o oci:model --weights ${directory}\``;

describe("a lock is looked for", () => {
  test("where a file stands, and where the name says so", async () => {
    const job = await preparedJob({ "a.bin": "first" });
    const found = await inspectSource(job, "weights.lock");
    expect(found).toMatchObject({ type: "lock", files: [{ name: "a" }] });
    const bytes = await readFile(join(job.cwd, "weights.lock"));
    expect(Buffer.compare(await inspectRaw(job, "./weights.lock"), bytes)).toBe(0);
    expect(await failureOf(inspectSource(job, "other.lock"))).toMatchObject({
      code: "file",
      message: 'the lock "other.lock" does not exist',
      hint: "run `ocibundle lock ./weights` to create it",
    });
  });

  test("and shows its parts, as a push stores them", async () => {
    const job = await preparedJob({ "a.bin": "first", "b.bin": "second" });
    const path = join(job.cwd, "weights.lock");
    const lock = JSON.parse(await readFile(path, "utf8")) as { files: Record<string, unknown>[] };
    const [first] = lock.files;
    if (first === undefined) throw new Error("the lock has a file");
    const parts = {
      split: { by: "tree/1" },
      parts: [
        ["a".repeat(64), 3],
        ["b".repeat(64), 2, "c".repeat(64), 1, "+zstd"],
      ],
      segments: [
        [0, 0, 3],
        [1, 0, 2],
      ],
    };
    first["ocibundle.parts"] = parts;
    await writeFile(path, JSON.stringify(lock));
    const found = await inspectSource(job, "weights.lock");
    expect(found).toMatchObject({
      parts: { count: 3, size: 11, stored: 10, encodings: { none: 2, zstd: 1 } },
    });
    expect(JSON.parse(JSON.stringify(found))).toMatchObject({
      files: [{ "ocibundle.parts": parts }, {}],
    });
    first["ocibundle.parts"] = { ...parts, segments: [[0, 0, 3]] };
    await writeFile(path, JSON.stringify(lock));
    expect(await inspectSource(job, "weights.lock")).toMatchObject({ parts: null });
    expect(job.warnings().join()).toContain("its segments have 3 bytes, the file has 5");
  });

  test.each([
    ["./nothing", '"./nothing" does not exist', undefined],
    ["./weights", '"./weights" is a directory, not a lock', buildFrom("./weights")],
    ["./image", '"./image" is a directory, not a lock', "use oci:./image for the layout"],
    [
      "weights/model.safetensors",
      '"weights/model.safetensors" is a weight file: expected a reference, a layout, an archive or a lock',
      buildFrom("weights"),
    ],
    [
      "large.gguf",
      '"large.gguf" is a weight file: expected a reference, a layout, an archive or a lock',
      buildFrom("."),
    ],
    [
      "image/index.tar",
      '"image/index.tar" is not a lock',
      "prefix an archive: oci-archive:image/index.tar or docker-archive:image/index.tar",
    ],
  ])("%s: %s", async (source, message, hint) => {
    const job = await preparedJob({ "a.bin": "first" });
    await writeFile(join(job.cwd, "image/index.tar"), new Uint8Array(512));
    await writeFile(join(job.cwd, "weights/model.safetensors"), new Uint8Array(512));
    await writeFile(join(job.cwd, "large.gguf"), "");
    await truncate(join(job.cwd, "large.gguf"), maxLockBytes + 1);
    expect(await failureOf(inspectSource(job, source))).toMatchObject({
      code: "file",
      message,
      ...(hint === undefined ? {} : { hint }),
    });
  });

  test("and is not read when it is too large to be one", async () => {
    const job = jobIn(await temporaryDirectory());
    await writeFile(join(job.cwd, "model.tar"), "");
    await truncate(join(job.cwd, "model.tar"), maxLockBytes + 1);
    expect(await failureOf(inspectSource(job, "model.tar"))).toMatchObject({
      code: "file",
      message: '"model.tar" is too large for a lock',
      hint: "prefix an archive: oci-archive:model.tar or docker-archive:model.tar",
    });
  });

  test("and not where a directory has the name of a reference", async () => {
    const job = jobIn(await temporaryDirectory());
    await mkdir(join(job.cwd, "127.0.0.1:1", "acme"), { recursive: true });
    expect(await failureOf(inspectSource(job, "127.0.0.1:1/acme"))).toMatchObject({
      code: "network",
      hint: '"127.0.0.1:1/acme" was read as a registry reference, not as the local directory',
    });
  });
});

describe("what is shown of an image without an index", () => {
  test("has the platform of its config", async () => {
    const job = await preparedJob({ "a.bin": "first" });
    expect(await inspectSource(job, "oci:image")).toMatchObject({
      type: "image",
      images: [{ platform: "linux/amd64" }],
    });
  });

  test("has no platform where the config is not there", async () => {
    const bench = await layoutBench();
    const root = await bench.image(amd64, "layer");
    await bench.layout.writeManifest(root, "v1", signal);
    const { config } = JSON.parse(new TextDecoder().decode(root.bytes)) as {
      config: { digest: string };
    };
    await rm(join(bench.directory, "blobs/sha256", config.digest.slice(7)));
    expect(await inspectSource(jobIn(bench.directory), `oci:${bench.directory}:v1`)).toMatchObject({
      type: "image",
      images: [{ platform: null }],
    });
  });
});

describe("an index", () => {
  test("shows several weights artifacts, and those of a later format beside them", async () => {
    const bench = await layoutBench();
    const weights = async (name: string) =>
      entryOf(await weightsOf(bench, name), {
        annotations: { "vnd.cog.reference.type": "weights" },
      });
    const later = entryOf(await bench.image(amd64, "later"), {
      artifactType: "application/vnd.cog.weight.v1",
      annotations: { "vnd.cog.reference.type": "weights" },
    });
    const [one, two] = [await weights("one"), await weights("two")];
    await bench.layout.writeManifest(await bench.index(one, two, later), "v1", signal);
    expect(await inspectSource(jobIn(bench.directory), `oci:${bench.directory}:v1`)).toMatchObject({
      type: "bundle",
      weights: { digest: one.digest, files: [{ name: "one" }] },
      moreWeights: [{ digest: two.digest, files: [{ name: "two" }] }],
      others: [{ digest: later.digest, artifactType: "application/vnd.cog.weight.v1" }],
      images: [],
    });
  });

  test("shows the images of indexes that it lists for a platform, and what is missing", async () => {
    const bench = await layoutBench();
    const inner = await bench.index(entryOf(await bench.image(arm64, "arm")));
    const absent = { mediaType: mediaTypes.ociManifest, digest: digestOf("absent"), size: 6 };
    const root = await bench.index(
      entryOf(inner, { platform: arm64 }),
      { ...absent, platform: amd64 },
      entryOf(await bench.image(amd64, "undeclared")),
    );
    await bench.layout.writeManifest(root, "v1", signal);
    const job = jobIn(bench.directory);
    expect(await inspectSource(job, `oci:${bench.directory}:v1`)).toMatchObject({
      type: "index",
      images: [{ platform: "linux/arm64" }, { platform: null }],
      others: [{ digest: absent.digest, platform: "linux/amd64", missing: true }],
    });
    expect(job.events).toContainEqual({
      type: "warning",
      message: `oci:${bench.directory}:v1: manifest sha256:${absent.digest.slice(7, 19)}: not in the layout`,
    });
  });

  test("tells attestations from other artifacts", async () => {
    const bench = await layoutBench();
    const attestation = entryOf(await bench.image(amd64, "attestation"), {
      annotations: { "vnd.docker.reference.type": "attestation-manifest" },
    });
    const artifact = await bench.manifest({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      artifactType: "application/vnd.example",
      config: await bench.blob("{}", mediaTypes.ociEmpty),
    });
    const other = entryOf(artifact, { artifactType: "application/vnd.example" });
    await bench.layout.writeManifest(await bench.index(attestation, other), "v1", signal);
    const job = jobIn(bench.directory);
    expect(await inspectSource(job, `oci:${bench.directory}:v1`)).toMatchObject({
      type: "index",
      others: [
        { referenceType: "attestation-manifest", artifactType: null },
        { referenceType: null, artifactType: "application/vnd.example" },
      ],
    });
  });
});

describe("an artifact of another kind", () => {
  test("is shown with what it holds", async () => {
    const bench = await layoutBench();
    const root = await bench.manifest({
      mediaType: mediaTypes.ociArtifact,
      artifactType: "application/vnd.example",
      blobs: [
        {
          ...(await bench.blob("notes", "text/plain; charset=utf-8")),
          annotations: { "org.opencontainers.image.title": "notes.txt" },
        },
      ],
    });
    await bench.layout.writeManifest(root, "v1", signal);
    expect(await inspectSource(jobIn(bench.directory), `oci:${bench.directory}:v1`)).toMatchObject({
      type: "artifact",
      artifactType: "application/vnd.example",
      content: {
        config: null,
        layers: [{ title: "notes.txt", mediaType: "text/plain; charset=utf-8", size: 5 }],
      },
    });
  });
});
