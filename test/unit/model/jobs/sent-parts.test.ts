import { expect, test } from "bun:test";
import { readdirSync, statSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { copyModel, type CopyRequest } from "../../../../src/model/jobs/copy.ts";
import { verifySource } from "../../../../src/model/jobs/verify.ts";
import { writeLock } from "../../../../src/model/lock/lock.ts";
import { pullWeights } from "../../../../src/model/pull/pull.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { afterwards } from "../../../support/afterwards.ts";
import { failureOf } from "../../../support/failure.ts";
import { copyRequest } from "../../../support/model/copy.ts";
import { type Job, jobIn } from "../../../support/model/job.ts";
import { lockRequest } from "../../../support/model/lock.ts";
import { pushParts } from "../../../support/model/push.ts";
import {
  type RecordingRegistry,
  recordingRegistry,
} from "../../../support/registry/recording-registry.ts";
import { startHub } from "../../../support/sources/hub.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { writeTensors } from "../../../support/tensors/tensor-file.ts";

const mebibyte = 1024 * 1024;
const tensors = [
  ...Array.from({ length: 9 }, (_, at) => [`t${at}.weight`, 8 * mebibyte] as const),
  // A pool of several pieces, which stays as it is.
  ...Array.from({ length: 4 }, (_, at) => [`t${at}.norm`, 2048] as const),
];
const size = tensors.reduce((sum, [, bytes]) => sum + bytes, 0);

const modelPath = ({ cwd }: Job) => join(cwd, "weights/model.safetensors");

/** Writes a model of numbers in bf16, and locks it without parts. */
async function made(job: Job, changed: readonly string[] = []): Promise<void> {
  writeTensors(modelPath(job), tensors, { bf16: true, changed });
  await writeLock(job, lockRequest({ compression: "none" }));
}

/** A registry that has it as plain files. */
async function plainModel() {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  await made(job);
  const plain = `${registry.host}/acme/plain:v1`;
  await pushParts(job, plain, { layout: "bundle" });
  return { registry, job, plain };
}

const copy = (job: Job, source: string, target: string, more: Partial<CopyRequest> = {}) =>
  copyModel(job, copyRequest(source, target, { layout: "parts", ...more }));

const pull = (job: Job, source: string, output: string) =>
  pullWeights(job, {
    source,
    output: join(job.cwd, output),
    only: [],
    force: false,
    useCache: false,
    checkWhole: true,
  });

const digestOfFile = async (path: string) => digestOf(await readFile(path));

/** The largest file below a directory, in bytes. */
const largestBelow = (directory: string): number =>
  Math.max(
    ...readdirSync(directory, { recursive: true, encoding: "utf8" }).map(
      (name) => statSync(join(directory, name)).size,
    ),
  );

const blobsRead = (registry: RecordingRegistry, repository: string): number =>
  registry.done
    .splice(0)
    .filter((line) => line.startsWith("GET ") && line.includes(`${repository}/blobs/`)).length;

test("parts of a hub's files are stored as those of local files, and none of them stays here", async () => {
  const registry = await recordingRegistry();
  const local = jobIn(await temporaryDirectory());
  await made(local);
  const expected = await pushParts(local, `${registry.host}/acme/local:v1`, {
    compression: "auto",
  });
  const hub = await startHub({
    "model.safetensors": new Uint8Array(await readFile(modelPath(local))),
  });
  afterwards(() => hub.close());
  const cwd = await temporaryDirectory();
  const fromHub = (name: string, more: object = {}) =>
    pushParts(jobIn(cwd, { HF_ENDPOINT: hub.endpoint }), `${registry.host}/acme/${name}`, {
      weights: [],
      paths: ["hf://acme/tiny"],
      writeLock: false,
      compression: "auto",
      ...more,
    });
  const read = (): number =>
    hub.seen.splice(0).reduce((sum, { range = "" }) => {
      const [, start = 0, end = 0] = (/bytes=(\d+)-(\d+)/.exec(range) ?? []).map(Number);
      return sum + end - start + 1;
    }, 0);

  // Nothing is sent to find out what would be.
  const dry = await fromHub("hub:v1", { dryRun: true });
  expect(dry.model.digest).toBe(expected.model.digest);
  expect(registry.done.filter((line) => /acme\/hub.*uploads/.test(line))).toEqual([]);

  const sent = await fromHub("hub:v1");
  expect(sent.model.digest).toBe(expected.model.digest);
  expect(sent.sent.bytes).toBe(expected.sent.bytes);
  expect(sent.sent.bytes).toBeLessThan(0.75 * size);
  expect(largestBelow(cwd)).toBeLessThan(100_000);

  // What is there is not read again, and what is new is read for its digest and to be encoded.
  read();
  await fromHub("hub:v2");
  expect(read()).toBeLessThan(4 * mebibyte);
  await made(local, ["t4.weight"]);
  hub.files.set("model.safetensors", new Uint8Array(await readFile(modelPath(local))));
  const next = await fromHub("hub:v3");
  expect(read()).toBeLessThan(size + 13 * mebibyte);
  expect(next.sent.bytes).toBeLessThan(0.75 * 8 * mebibyte + 10_000);
  await pull(local, `${registry.host}/acme/hub:v3`, "out");
  expect(await digestOfFile(join(local.cwd, "out/src/weights/model.safetensors"))).toBe(
    await digestOfFile(modelPath(local)),
  );
}, 60_000);

test("what a hub breaks off is gone on with, and what it sends wrong is found", async () => {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  await made(job);
  const bytes = new Uint8Array(await readFile(modelPath(job)));
  const hub = await startHub({ "model.safetensors": bytes }, { breakAfter: 3_000_000 });
  afterwards(() => hub.close());
  const cwd = await temporaryDirectory();
  const fromHub = ({ host }: RecordingRegistry) =>
    pushParts(jobIn(cwd, { HF_ENDPOINT: hub.endpoint }), `${host}/acme/hub:v1`, {
      weights: [],
      paths: ["hf://acme/tiny"],
      writeLock: false,
      compression: "zstd",
    });
  await fromHub(registry);
  await pull(job, `${registry.host}/acme/hub:v1`, "out");
  expect(await digestOfFile(join(job.cwd, "out/src/weights/model.safetensors"))).toBe(
    digestOf(bytes),
  );
  // Its parts are known, so that they alone are read: the file on the hub is another by now.
  delete hub.switches.breakAfter;
  hub.switches.wrong = ["model.safetensors"];
  const error = await failureOf(fromHub(await recordingRegistry()));
  expect(error.code).toBe("integrity");
  expect(largestBelow(cwd)).toBeLessThan(100_000);
}, 60_000);

test("a copy stores plain weights, and parts as they are, in the parts that a push makes", async () => {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  await made(job);
  const at = (name: string) => `${registry.host}/acme/${name}`;
  const inPlain = await pushParts(job, at("plain:v1"), { layout: "bundle" });
  const asTheyAre = await pushParts(job, at("raw:v1"));
  const encoded = await pushParts(job, at("encoded:v1"), { compression: "auto" });
  await rm(join(job.cwd, ".cache"), { recursive: true });
  registry.done.length = 0;

  const dry = await copy(job, at("plain:v1"), at("dry:v1"), { compression: "auto", dryRun: true });
  expect(dry.model.digest).toBe(encoded.model.digest);
  expect(registry.done.filter((line) => line.includes("acme/dry"))).toEqual([]);

  const fromPlain = await copy(job, at("plain:v1"), at("a:v1"), { compression: "auto" });
  expect(fromPlain.model.digest).toBe(encoded.model.digest);
  const fromRaw = await copy(job, at("raw:v1"), at("b:v1"), { compression: "auto" });
  expect(fromRaw.model.digest).toBe(encoded.model.digest);
  // By what is recorded they were mounted.
  expect(blobsRead(registry, "acme/raw")).toBeLessThan(4);
  const back = await copy(job, at("a:v1"), at("c:v1"), { compression: "none" });
  expect(back.model.digest).toBe(asTheyAre.model.digest);
  expect(largestBelow(join(job.cwd, ".cache"))).toBeLessThan(100_000);
  expect(inPlain.model.digest).not.toBe(back.model.digest);

  // Into a layout, and what is in parts as it is already is copied as it is.
  const inLayout = await copy(job, at("plain:v1"), "oci:layout:v1", { compression: "auto" });
  expect(inLayout.model.digest).toBe(encoded.model.digest);
  const archived = await copy(job, at("a:v1"), "oci-archive:model.tar:v1", { compression: "auto" });
  expect(archived.model.digest).toBe(encoded.model.digest);
  for (const source of [at("a:v1"), at("c:v1"), "oci:layout:v1", "oci-archive:model.tar:v1"]) {
    const { problems } = await verifySource(job, { source, dir: undefined, quick: false });
    expect(problems).toEqual([]);
  }
  const zstd = await copy(job, at("encoded:v1"), at("zstd:v1"), { compression: "zstd" });
  expect(zstd.model.digest).not.toBe(encoded.model.digest);
  await pull(job, at("zstd:v1"), "out");
  expect(await digestOfFile(join(job.cwd, "out/src/weights/model.safetensors"))).toBe(
    await digestOfFile(modelPath(job)),
  );
  const error = await failureOf(
    copy(job, at("plain:v1"), at("d:v1"), { compression: "auto", layout: "bundle" }),
  );
  expect(error.message).toContain("--compression needs --parts");
}, 60_000);

test("a recipe of plain weights that makes another file is not copied", async () => {
  const { registry, job, plain } = await plainModel();
  const at = (name: string) => `${registry.host}/acme/${name}`;
  await writeLock(job, lockRequest({ parts: true }));
  const inPlain = await pushParts(job, at("plain:v1"), { layout: "bundle" });
  // The target has all parts: nothing of the file is read for them.
  const inParts = await pushParts(job, at("parts:v1"));
  const again = await copy(job, at("plain:v1"), at("parts:v2"));
  expect(again.model.digest).toBe(inParts.model.digest);
  expect(inPlain.model.digest).not.toBe(inParts.model.digest);

  const ask = async (path: string) =>
    (await (await registry.ask(`/v2/acme/plain/${path}`)).json()) as Record<string, unknown>;
  const manifest = (await ask("manifests/v1")) as { config: { digest: string; size: number } };
  const recipe = (await ask(`blobs/${manifest.config.digest}`)) as {
    files: { segments: number[][] }[];
  };
  const segments = recipe.files[0]?.segments ?? [];
  const [one, other] = [4, 5];
  expect(segments[one]?.[2]).toBe(segments[other]?.[2] ?? -1);
  [segments[one], segments[other]] = [segments[other], segments[one]] as [number[], number[]];
  const bytes = Buffer.from(JSON.stringify(recipe));
  const upload = `/v2/acme/plain/blobs/uploads/?digest=${digestOf(bytes)}`;
  expect((await registry.ask(upload, { method: "POST", body: bytes })).status).toBe(201);
  const config = { ...manifest.config, digest: digestOf(bytes), size: bytes.byteLength };
  const lying = await registry.ask("/v2/acme/plain/manifests/lie", {
    method: "PUT",
    headers: { "content-type": "application/vnd.oci.image.manifest.v1+json" },
    body: JSON.stringify({ ...manifest, config }),
  });
  expect(lying.status).toBe(201);
  for (const cache of ["known", ".cache"]) {
    const machine = jobIn(job.cwd, { OCIBUNDLE_CACHE: join(job.cwd, cache) });
    const copied = await copy(machine, at("plain:lie"), at("parts:v3"));
    // It is split anew, by the numbers that it has been split by.
    expect(copied.model.digest).toBe(inParts.model.digest);
    expect(machine.warnings()).toEqual([
      'weight "model": its parts are not as its recipe lists them: splitting it again',
    ]);
  }
  expect(plain).toBe(at("plain:v1"));
}, 60_000);

test("the weights of another model are pushed in the parts that a copy makes", async () => {
  const { registry, job, plain } = await plainModel();
  const copied = await copy(job, plain, `${registry.host}/acme/copied:v1`, { compression: "auto" });
  const pushed = await pushParts(job, `${registry.host}/acme/pushed:v1`, {
    compression: "auto",
    weights: [],
    weightsFrom: plain,
  });
  expect(pushed.model.digest).toBe(copied.model.digest);
}, 60_000);

test("a part that is encoded to another blob than in an earlier run is sent as that", async () => {
  const { registry, job, plain } = await plainModel();
  const first = await copy(job, plain, `${registry.host}/acme/a:v1`, { compression: "auto" });
  const records = join(job.cwd, ".cache/records/forms.json");
  const { forms, ...rest } = JSON.parse(await readFile(records, "utf8")) as {
    forms: { digest: string }[];
  };
  const others = forms.map((form, at) => ({ ...form, digest: digestOf(`another ${at}`) }));
  await writeFile(records, JSON.stringify({ ...rest, forms: others }));
  const second = await copy(job, plain, `${registry.host}/other/a:v1`, { compression: "auto" });
  expect(second.model.digest).toBe(first.model.digest);
}, 60_000);

test("a registry that loses a part after it was sent gets it once more", async () => {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  await made(job);
  const plain = `${registry.host}/acme/plain:v1`;
  await pushParts(job, plain, { layout: "bundle" });
  let lost: string | undefined;
  registry.meddle(async (request, next) => {
    const { pathname } = new URL(request.url);
    if (request.method === "PUT" && pathname.includes("/acme/a/manifests/") && lost === undefined) {
      const blobs = registry.done.flatMap(
        (line) => /^HEAD acme\/a\/blobs\/(sha256:[0-9a-f]{64})$/.exec(line)?.slice(1) ?? [],
      );
      lost = blobs.at(-1) ?? "";
      await next(
        new Request(new URL(`/v2/acme/a/blobs/${lost}`, request.url), { method: "DELETE" }),
      );
    }
    return next(request);
  });
  await copy(job, plain, `${registry.host}/acme/a:v1`, { compression: "auto" });
  expect(lost).toStartWith("sha256:");
  registry.meddle((request, next) => next(request));
  const { problems } = await verifySource(job, {
    source: `${registry.host}/acme/a:v1`,
    dir: undefined,
    quick: false,
  });
  expect(problems).toEqual([]);
}, 60_000);
