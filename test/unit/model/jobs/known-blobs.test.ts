import { describe, expect, test } from "bun:test";
import { pushModel, type PushRequest } from "../../../../src/model/jobs/push.ts";
import { copyModel } from "../../../../src/model/jobs/copy.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { pushOfNothing } from "../../../support/model/push.ts";
import { type Job, preparedJob } from "../../../support/model/job.ts";
import { recordingRegistry, blobHeads } from "../../../support/registry/recording-registry.ts";

const names = Array.from({ length: 40 }, (_, at) => `w${at}.bin`);
const contents = Object.fromEntries(names.map((name) => [name, `content of ${name}`]));
const lost = digestOf("content of w7.bin");

const push = (job: Job, reference: string, more: Partial<PushRequest> = {}) =>
  pushModel(job, {
    ...pushOfNothing,
    reference,
    image: "oci:image:v1",
    weights: ["weights"],
    ...more,
  });

async function pushed() {
  const registry = await recordingRegistry();
  const job = await preparedJob(contents);
  const reference = `${registry.host}/acme/model:v1`;
  await push(job, reference);
  registry.seen.length = 0;
  registry.done.length = 0;
  const lose = () => registry.ask(`/v2/acme/model/blobs/${lost}`, { method: "DELETE" });
  const isThere = async () => (await registry.ask(`/v2/acme/model/blobs/${lost}`)).ok;
  return { registry, job, reference, lose, isThere };
}

describe("a second push of many weights", () => {
  test("asks for the manifests, and for no blob", async () => {
    const { registry, job, reference } = await pushed();
    const { sent, present } = await push(job, reference);
    expect(sent.blobs).toBe(0);
    expect(present.blobs).toBeGreaterThan(40);
    expect(blobHeads(registry)).toBe(0);
    expect(registry.seen.length).toBeLessThan(12);
  });

  test("with other code asks for the blobs of the code alone", async () => {
    const { registry, job, reference } = await pushed();
    const { present } = await push(job, reference.replace("v1", "v2"), { image: undefined });
    expect(present.blobs).toBe(41);
    expect(blobHeads(registry)).toBe(0);
  });

  test("sends a blob that the registry has lost, where it notices", async () => {
    const { job, reference, lose, isThere } = await pushed();
    await lose();
    expect((await push(job, reference)).sent.blobs).toBe(1);
    expect(await isThere()).toBeTrue();
  });

  test("asks for each blob where it is told to", async () => {
    const { registry, job, reference, lose, isThere } = await pushed();
    await lose();
    expect((await push(job, reference, { checkBlobs: true })).sent.blobs).toBe(1);
    expect(blobHeads(registry)).toBeGreaterThan(40);
    expect(await isThere()).toBeTrue();
  });

  test("asks for each blob where the manifests can't be asked for", async () => {
    const { registry, job, reference } = await pushed();
    registry.meddle((request, next) => {
      const isQuestion = request.method !== "PUT" && request.url.includes("/manifests/sha256:");
      const isRefused = isQuestion && blobHeads(registry) === 0;
      return isRefused ? new Response(null, { status: 403 }) : next(request);
    });
    expect((await push(job, reference)).sent.blobs).toBe(0);
    expect(blobHeads(registry)).toBeGreaterThan(40);
  });
});

test("what the first attempt of a push has sent counts as sent where the registry loses a blob of it", async () => {
  const registry = await recordingRegistry();
  const job = await preparedJob(contents);
  let loses = true;
  registry.meddle(async (request, next) => {
    if (loses && request.method === "PUT" && request.url.includes("/manifests/")) {
      loses = false;
      await registry.ask(`/v2/acme/model/blobs/${lost}`, { method: "DELETE" });
    }
    return next(request);
  });
  const { sent, mounted, present, resumed } = await push(job, `${registry.host}/acme/model:v1`);
  expect(loses).toBeFalse();
  expect(sent.blobs).toBeGreaterThan(40);
  expect([mounted.blobs, present.blobs, resumed.blobs]).toEqual([0, 0, 0]);
});

test("an image on the same registry is mounted by a push", async () => {
  const registry = await recordingRegistry();
  const job = await preparedJob({ "a.bin": "first" });
  const image = `${registry.host}/code/app:v1`;
  await copyModel(job, {
    source: "oci:image:v1",
    target: image,
    platform: undefined,
    referrers: false,
    dryRun: false,
  });
  // Nothing is known of it from an earlier run.
  const other = { ...job, env: { ...job.env, OCIBUNDLE_CACHE: `${job.cwd}/other-cache` } };
  const report = await push(other, `${registry.host}/acme/model:v1`, {
    image: `docker://${image}`,
  });
  expect(report.mounted.blobs).toBeGreaterThan(1);
  expect(report.sent.blobs).toBe(2);
});
