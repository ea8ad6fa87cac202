import { expect, test } from "bun:test";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeLock } from "../../../../src/model/lock/lock.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { afterwards } from "../../../support/afterwards.ts";
import { startHub } from "../../../support/sources/hub.ts";
import { smallModel, writeTensors } from "../../../support/tensors/tensor-file.ts";
import { pushParts } from "../../../support/model/push.ts";
import { type Job, jobIn } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import {
  type RecordingRegistry,
  recordingRegistry,
  blobHeads,
} from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { lockRequest } from "../../../support/model/lock.ts";

const lock = (job: Job, parts = true) => writeLock(job, lockRequest({ parts }));

interface Manifest {
  artifactType: string;
  config: { digest: string };
  layers: { digest: string; size: number }[];
}

const manifestOf = async (registry: RecordingRegistry, tag: string): Promise<Manifest> =>
  (await (await registry.ask(`/v2/acme/model/manifests/${tag}`)).json()) as Manifest;

test("a version under the same tag asks only for what the one before does not have", async () => {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  const path = join(job.cwd, "weights/model.safetensors");
  const reference = `${registry.host}/acme/model:v1`;
  writeTensors(path, smallModel());
  await lock(job);
  await pushParts(job, reference);
  const first = await manifestOf(registry, "v1");
  expect(first.artifactType).toBe("application/vnd.ocibundle.weights.parts.v1");
  expect(first.layers).toHaveLength(15);

  // A lock without parts is split as the tag's version is, from the same numbers.
  writeTensors(path, smallModel(), { changed: ["layers.3.mlp.weight"], metadata: { note: "2" } });
  await lock(job, false);
  registry.seen.length = 0;
  const { sent, present } = await pushParts(job, reference);
  const second = await manifestOf(registry, "v1");
  const known = new Set(first.layers.map(({ digest }) => digest));
  const news = second.layers.filter(({ digest }) => !known.has(digest));
  expect(news).toHaveLength(2);
  expect(sent.blobs).toBe(3);
  expect(present.blobs).toBe(13);
  expect(sent.bytes).toBeLessThan(6 * 1024 * 1024);
}, 60_000);

test("a part that the registry forgets between its upload and the manifest is sent again", async () => {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  writeTensors(join(job.cwd, "weights/model.safetensors"), smallModel());
  await lock(job);
  const manifests: string[] = [];
  registry.meddle(async (request, next) => {
    if (request.method !== "PUT" || !request.url.includes("/manifests/")) return next(request);
    const text = await request.text();
    const { layers } = JSON.parse(text) as Manifest;
    const lost = `/v2/acme/model/blobs/${layers[3]?.digest}`;
    if (manifests.push(digestOf(text)) === 1) await registry.ask(lost, { method: "DELETE" });
    return next(new Request(request.url, { method: "PUT", headers: request.headers, body: text }));
  });
  await pushParts(job, `${registry.host}/acme/model:v1`);
  expect(manifests).toHaveLength(2);
  const { layers } = await manifestOf(registry, "v1");
  for (const { digest } of layers) {
    expect((await registry.ask(`/v2/acme/model/blobs/${digest}`, { method: "HEAD" })).ok).toBe(
      true,
    );
  }
}, 60_000);

test("the blobs of a tag's version are not asked for one by one", async () => {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  const many = Array.from({ length: 120 }, (_, at) => [`t${at}.weight`, 1024 * 1024] as const);
  const path = join(job.cwd, "weights/model.safetensors");
  const reference = `${registry.host}/acme/model:v1`;
  writeTensors(path, many);
  await lock(job, false);
  await pushParts(job, reference);
  const { layers } = await manifestOf(registry, "v1");
  expect(layers.length).toBe(16);
  writeTensors(path, many, { changed: ["t60.weight"] });
  await lock(job, false);
  registry.seen.length = 0;
  await pushParts(job, reference);
  // The recipe and the part with the tensor.
  expect(blobHeads(registry)).toBe(2);
}, 60_000);

test("a version under a new tag, or in another repository, shares the parts of the one that is its base", async () => {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  const path = join(job.cwd, "weights/model.safetensors");
  const base = `${registry.host}/acme/model:v1`;
  const layers = async (repository: string, tag: string) =>
    ((await (await registry.ask(`/v2/${repository}/manifests/${tag}`)).json()) as Manifest).layers;
  const tensors = Array.from({ length: 80 }, (_, at) => [`t${at}.weight`, 1_310_720] as const);
  writeTensors(path, tensors);
  await lock(job, false);
  await pushParts(job, base, { mostParts: 17 });
  const first = new Set((await layers("acme/model", "v1")).map(({ digest }) => digest));
  writeTensors(path, tensors, { changed: ["t40.weight"] });
  await lock(job, false);
  for (const repository of ["acme/model", "acme/other"]) {
    registry.seen.length = 0;
    const { sent } = await pushParts(job, `${registry.host}/${repository}:v2`, { base });
    expect(sent.bytes).toBeLessThan(10 * 1024 * 1024);
    const next = await layers(repository, "v2");
    expect(next).toHaveLength(first.size);
    expect(next.filter(({ digest }) => !first.has(digest))).toHaveLength(1);
  }
  expect(job.warnings().filter((text) => text.includes("split with different"))).toEqual([]);
  // By itself it is split finer.
  await rm(join(job.cwd, "weights.lock"));
  await lock(job);
  await pushParts(job, `${registry.host}/acme/model:v3`, { base });
  expect((await layers("acme/model", "v3")).length).toBeGreaterThan(first.size);
  expect(job.warnings().filter((text) => text.includes("split with different"))).toHaveLength(1);

  const plain = `${registry.host}/acme/plain:v1`;
  await pushParts(job, plain, { layout: "bundle-1" });
  for (const [more, message] of [
    [{ base: plain }, "its weights are not in parts"],
    [{ base, layout: "bundle" }, "needs weights in parts"],
  ] as const) {
    const error = await failureOf(pushParts(job, `${registry.host}/acme/model:v4`, more));
    expect([error.code, error.message]).toEqual(["usage", expect.stringContaining(message)]);
  }
  const missing = pushParts(job, plain, { base: `${registry.host}/acme/model:none` });
  expect((await failureOf(missing)).code).toBe("not_found");
}, 60_000);

test("files on a hub are read once for the digests of their parts, and what is new of them once more", async () => {
  const registry = await recordingRegistry();
  const directory = await temporaryDirectory();
  const path = join(directory, "made/model.safetensors");
  const made = async (changed: string[]): Promise<Uint8Array> => {
    writeTensors(path, smallModel(), { changed });
    return new Uint8Array(await readFile(path));
  };
  const first = await made([]);
  const hub = await startHub({ "model.safetensors": first });
  afterwards(() => hub.close());
  const cwd = await temporaryDirectory();
  // A run sees one state of the hub.
  const fromHub = (reference: string) =>
    pushParts(jobIn(cwd, { HF_ENDPOINT: hub.endpoint }), reference, {
      weights: [],
      paths: ["hf://acme/tiny"],
      writeLock: false,
    });
  /** Bytes that were asked for since the last time. */
  const read = (): number => {
    // What the hub does not store by LFS it sends itself.
    const isOwn = hub.switches.lfsFrom === Number.POSITIVE_INFINITY;
    const ranges = hub.seen.splice(0).filter(({ at }) => at === (isOwn ? "hub" : "storage"));
    return ranges.reduce((sum, { range = "" }) => {
      const [, start = 0, end = 0] = (/bytes=(\d+)-(\d+)/.exec(range) ?? []).map(Number);
      return sum + end - start + 1;
    }, 0);
  };
  const reference = `${registry.host}/acme/model:v1`;
  await fromHub(reference);
  // Heads of files are looked at before.
  const small = 4 * 1024 * 1024;
  expect(Math.abs(read() - 2 * first.byteLength)).toBeLessThan(small);
  const digests = (await manifestOf(registry, "v1")).layers.map(({ digest }) => digest);
  expect(digests).toHaveLength(15);

  // What is known of it is not read again.
  await fromHub(`${registry.host}/acme/model:again`);
  expect(read()).toBeLessThan(small);

  // Of another version only the new part is read again, also where the hub lists no digest of the file.
  hub.files.set("model.safetensors", await made(["layers.3.mlp.weight"]));
  hub.switches.lfsFrom = Number.POSITIVE_INFINITY;
  const { sent } = await fromHub(reference);
  expect(sent.bytes).toBeLessThan(6 * 1024 * 1024);
  expect(Math.abs(read() - first.byteLength - sent.bytes)).toBeLessThan(small);

  hub.files.set("model.safetensors", await made(["norm.weight"]));
  hub.switches.lfsFrom = 0;
  hub.switches.wrong = ["model.safetensors"];
  const error = await failureOf(fromHub(reference));
  expect(error.code).toBe("integrity");
  expect(error.hint).toContain("differs from its listing");
});
