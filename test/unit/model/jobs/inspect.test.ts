import { describe, expect, test } from "bun:test";
import { mkdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspectRaw, inspectSource } from "../../../../src/model/jobs/inspect.ts";
import { maxLockBytes } from "../../../../src/model/format/weights-lock.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import {
  failure,
  jobIn,
  preparedJob,
  recordingRegistry,
  putManifest,
  temporaryFolder,
} from "../bench.ts";
import { amd64, entryOf, layoutBench, signal } from "../layout-bench.ts";

describe("a lock is looked for", () => {
  test("where a file stands, and where the name says so", async () => {
    const job = await preparedJob({ "a.bin": "first" });
    const found = await inspectSource(job, "weights.lock");
    expect(found).toMatchObject({ type: "lock", files: [{ name: "a" }] });
    const bytes = await readFile(join(job.cwd, "weights.lock"));
    expect(Buffer.compare(await inspectRaw(job, "./weights.lock"), bytes)).toBe(0);
    expect(await failure(inspectSource(job, "other.lock"))).toMatchObject({
      code: "file",
      message: 'the lock "other.lock" does not exist',
      hint: "write it, as `ocibundle lock ./weights`",
    });
  });

  test.each([
    ["./nothing", '"./nothing" does not exist', undefined],
    ["./weights", '"./weights" is a folder, not a lock', "a layout is named as oci:./weights"],
    [
      "image/index.tar",
      '"image/index.tar" is a file, and not a lock',
      "an archive is named as oci-archive:image/index.tar or docker-archive:image/index.tar",
    ],
  ])("%s: %s", async (source, message, hint) => {
    const job = await preparedJob({ "a.bin": "first" });
    await writeFile(join(job.cwd, "image/index.tar"), new Uint8Array(512));
    expect(await failure(inspectSource(job, source))).toMatchObject({
      code: "file",
      message,
      ...(hint === undefined ? {} : { hint }),
    });
  });

  test("and is not read when it is too large to be one", async () => {
    const job = jobIn(await temporaryFolder());
    await writeFile(join(job.cwd, "model.tar"), "");
    await truncate(join(job.cwd, "model.tar"), maxLockBytes + 1);
    expect(await failure(inspectSource(job, "model.tar"))).toMatchObject({
      code: "file",
      message: `"model.tar" has ${maxLockBytes + 1} bytes, too many for a lock`,
    });
  });

  test("and not where a folder has the name of a reference", async () => {
    const job = jobIn(await temporaryFolder());
    await mkdir(join(job.cwd, "127.0.0.1:1", "acme"), { recursive: true });
    expect(await failure(inspectSource(job, "127.0.0.1:1/acme"))).toMatchObject({
      code: "network",
      hint: '"127.0.0.1:1/acme" was taken for a name on a registry, not for the folder here',
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
    await rm(join(bench.folder, "blobs/sha256", config.digest.slice(7)));
    expect(await inspectSource(jobIn(bench.folder), `oci:${bench.folder}:v1`)).toMatchObject({
      type: "image",
      images: [{ platform: null }],
    });
  });
});

describe("an index", () => {
  test("with two weights artifacts is refused, and both are named", async () => {
    const registry = await recordingRegistry();
    const job = jobIn(await temporaryFolder());
    const weights = async (artifact: string) =>
      putManifest(registry, "acme/model", artifact, {
        schemaVersion: 2,
        mediaType: mediaTypes.ociIndex,
        artifactType: artifact,
        manifests: [],
      });
    const [one, two] = [await weights("a"), await weights("b")];
    const annotations = { "vnd.cog.reference.type": "weights" };
    await putManifest(registry, "acme/model", "v1", {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [
        { ...one, annotations },
        { ...two, annotations },
      ],
    });
    expect(await failure(inspectSource(job, `${registry.host}/acme/model:v1`))).toMatchObject({
      code: "file",
      message: `${registry.host}/acme/model:v1: two weights artifacts, ${one.digest} and ${two.digest}`,
      hint: "name the one you mean by its digest",
    });
  });

  test("tells attestations from other artifacts", async () => {
    const bench = await layoutBench();
    const attestation = entryOf(await bench.image(amd64, "attestation"), {
      annotations: { "vnd.docker.reference.type": "attestation-manifest" },
    });
    const other = entryOf(await bench.image(amd64, "other"), {
      artifactType: "application/vnd.example",
    });
    await bench.layout.writeManifest(await bench.index(attestation, other), "v1", signal);
    const job = jobIn(bench.folder);
    expect(await inspectSource(job, `oci:${bench.folder}:v1`)).toMatchObject({
      type: "index",
      others: [
        { referenceType: "attestation-manifest", artifactType: null },
        { referenceType: null, artifactType: "application/vnd.example" },
      ],
    });
  });
});
