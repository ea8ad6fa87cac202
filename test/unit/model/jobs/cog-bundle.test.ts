import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { buildModel, type BuildRequest } from "../../../../src/model/jobs/build.ts";
import { copyModel } from "../../../../src/model/jobs/copy.ts";
import { diffModels } from "../../../../src/model/jobs/diff.ts";
import { inspectRaw, inspectSource } from "../../../../src/model/jobs/inspect.ts";
import { verifySource } from "../../../../src/model/jobs/verify.ts";
import { pullWeights } from "../../../../src/model/pull/pull.ts";
import type { Descriptor } from "../../../../src/oci/descriptor.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { pushOfNothing } from "../../../support/model/push.ts";
import { type Job, jobIn } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import {
  amd64,
  arm64,
  entryOf,
  layoutBench,
  signal,
  weightsOf,
  unknownPlatform,
} from "../../../support/model/layout-bench.ts";

const later = "application/vnd.cog.weight.v1";

/** A bundle as Cog and buildx write it: only the index says what is what. */
async function cogBundle(tag: string, weightNames: readonly string[], layer = "layer") {
  const bench = await layoutBench();
  const image = entryOf(await bench.image(amd64, layer), { platform: amd64 });
  const other = entryOf(await bench.image(arm64, "arm"), { platform: arm64 });
  const attest = async (subject: Descriptor, content: string) =>
    entryOf(await bench.image(unknownPlatform, content), {
      platform: unknownPlatform,
      annotations: {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": subject.digest,
      },
    });
  const attestation = await attest(image, `attestation of ${layer}`);
  const weights: Descriptor[] = [];
  for (const name of weightNames) {
    weights.push(
      entryOf(await weightsOf(bench, name), {
        platform: unknownPlatform,
        annotations: { "vnd.cog.reference.type": "weights" },
      }),
    );
  }
  const ofLater = entryOf(await bench.image(unknownPlatform, "later"), {
    artifactType: later,
    platform: unknownPlatform,
    annotations: { "vnd.cog.reference.type": "weights" },
  });
  const root = await bench.manifest({
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: [
      image,
      ...weights,
      ofLater,
      other,
      attestation,
      await attest(other, "attestation of arm"),
    ],
    annotations: { "org.example.kept": "yes" },
  });
  await bench.layout.writeManifest(root, tag, signal);
  const source = `oci:${bench.directory}:${tag}`;
  return { source, image, attestation, weights, later: ofLater };
}

const build = (job: Job, request: Partial<BuildRequest>) =>
  buildModel(job, {
    ...pushOfNothing,
    reference: undefined,
    output: "oci:built:v1",
    ...request,
  });

const copy = (job: Job, source: string, target: string, platform?: string) =>
  copyModel(job, { source, target, platform, referrers: false, dryRun: false });

const pull = (job: Job, source: string) =>
  pullWeights(job, { source, output: "pulled", only: [], force: false, useCache: false });

const indexOf = async (job: Job, source: string): Promise<{ [member: string]: unknown }> =>
  JSON.parse(new TextDecoder().decode(await inspectRaw(job, source)));

const job = async () => jobIn(await temporaryDirectory());

describe("a bundle that Cog pushed", () => {
  test("gives weights that stand alone and can be pulled", async () => {
    const { source, weights } = await cogBundle("v1", ["a"]);
    const here = await job();
    await build(here, { weightsFrom: source });
    expect(await inspectSource(here, "oci:built:v1")).toMatchObject({
      type: "weights",
      digest: weights[0]?.digest,
    });
    await pull(here, "oci:built:v1");
    expect(existsSync(join(here.cwd, "pulled/src/weights/a"))).toBe(true);
  });

  test("is an image without its weights with --format standalone", async () => {
    const { source, image, attestation, weights } = await cogBundle("v1", ["a"]);
    const here = await job();
    await build(here, { image: source, format: "standalone" });
    const text = JSON.stringify(await indexOf(here, "oci:built:v1"));
    expect(text).toContain(image.digest);
    expect(text).toContain(attestation.digest);
    expect(text).toContain("org.example.kept");
    expect(text).not.toContain(weights[0]?.digest ?? "");
    expect(text).not.toContain(later);
    expect(existsSync(join(here.cwd, "built/blobs/sha256", digestOf("weights a").slice(7)))).toBe(
      false,
    );
  });

  test("is copied for one platform with its attestation, its weights and its annotations", async () => {
    const bundle = await cogBundle("v1", ["a", "b"]);
    const here = await job();
    await copy(here, bundle.source, "oci:copied:v1", "linux/amd64/v1");
    const index = await indexOf(here, "oci:copied:v1");
    const digests = (index["manifests"] as Descriptor[]).map(({ digest }) => digest);
    const kept = [bundle.image, bundle.attestation, bundle.later, ...bundle.weights];
    expect(digests).toEqual(kept.map(({ digest }) => digest));
    expect(index["annotations"]).toEqual({ "org.example.kept": "yes" });
  });

  test("may have several weights artifacts: all are copied, verified and compared", async () => {
    const { source } = await cogBundle("v1", ["a", "b"]);
    const here = await job();
    await copy(here, source, "oci:copied:v1");
    expect(
      await verifySource(here, { source: "oci:copied:v1", dir: undefined, quick: false }),
    ).toMatchObject({
      problems: [],
    });
    const { weights } = await diffModels(here, source, "oci:copied:v1");
    expect(weights.shared.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(await failureOf(build(here, { weightsFrom: source }))).toMatchObject({ code: "usage" });
  });

  test("is compared by what the index says of each entry", async () => {
    const one = await cogBundle("v1", ["a"], "one");
    const two = await cogBundle("v1", ["a"], "two!");
    const { image, other, fetch } = await diffModels(await job(), one.source, two.source);
    expect(image?.added.blobs).toBe(2);
    expect(other?.added.blobs).toBe(2);
    expect(fetch).toMatchObject({ weights: { bytes: 0 }, image: image?.added });
  });
});

test("weights with a dest that no lock may have are refused before anything is written", async () => {
  const bench = await layoutBench();
  const weights = await weightsOf(bench, "../a", "application/vnd.cog.weights.v1");
  await bench.layout.writeManifest(weights, "v1", signal);
  const source = `oci:${bench.directory}:v1`;
  const here = await job();
  for (const failing of [
    () => copy(here, source, "oci:copied:v1"),
    () => build(here, { weightsFrom: source }),
    () => inspectSource(here, source),
    () => pull(here, source),
  ]) {
    expect((await failureOf(failing())).message).toContain('must not have a ".." component');
  }
  for (const made of ["copied", "built", "pulled/src"]) {
    expect(existsSync(join(here.cwd, made))).toBe(false);
  }
});

test("an index that lists what is not there is copied with --platform, as the hint says", async () => {
  const bench = await layoutBench();
  const there = entryOf(await bench.image(amd64, "there"), { platform: amd64 });
  const absent = { mediaType: mediaTypes.ociManifest, digest: digestOf("absent"), size: 6 };
  const root = await bench.index({ ...absent, platform: arm64 }, there);
  await bench.layout.writeManifest(root, "v1", signal);
  const source = `oci:${bench.directory}:v1`;
  const here = await job();
  expect(await failureOf(copy(here, source, "oci:copied:v1"))).toMatchObject({
    code: "not_found",
    hint: "copy one of the existing platforms with --platform",
  });
  await copy(here, source, "oci:copied:v1", "linux/amd64");
  expect(await inspectSource(here, "oci:copied:v1")).toMatchObject({ digest: there.digest });
});
