import { expect, test } from "bun:test";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { checkLock, writeLock } from "../../../../src/model/lock/lock.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { afterwards } from "../../../support/afterwards.ts";
import { startHub } from "../../../support/sources/hub.ts";
import { smallModel, writeTensors } from "../../../support/tensors/tensor-file.ts";
import { pushParts } from "../../../support/model/push.ts";
import type { PushRequest } from "../../../../src/model/jobs/push.ts";
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

/** A registry, and a job with a small model in parts that is locked. */
async function lockedModel() {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  const path = join(job.cwd, "weights/model.safetensors");
  writeTensors(path, smallModel());
  await lock(job);
  return { registry, job, path, reference: `${registry.host}/acme/model:v1` };
}

test("a version under the same tag asks only for what the one before does not have", async () => {
  const { registry, job, path, reference } = await lockedModel();
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
  const { registry, job } = await lockedModel();
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

const notItsOwn = 'weight "model": its parts in weights.lock are not those of the file';

/** What a lock can say of a file's parts that would make another file of the same size, and what is said of it. */
const wrongLists = {
  "two parts swapped": {
    change({ segments, parts }: Listed) {
      const [a, b] = twoOfOneSize(parts.map(([, size]) => size));
      const other = (part: number): number => (part === a ? b : part === b ? a : part);
      return { parts, segments: segments.map(([at, ...rest]): Segment => [other(at), ...rest]) };
    },
    refusal: ["integrity", expect.stringContaining(notItsOwn)],
  },
  "two segments of a part swapped": {
    change({ segments, parts }: Listed) {
      const [a, b] = twoOfOneSize(segments.map(([part, , length]) => part * 2 ** 40 + length));
      [segments[a], segments[b]] = [segments[b], segments[a]] as [Segment, Segment];
      return { segments, parts };
    },
    refusal: ["file", expect.stringContaining("are not whole parts in the order of the file")],
  },
  "a part's digest of another part": {
    change({ segments, parts }: Listed) {
      const [a, b] = twoOfOneSize(parts.map(([, size]) => size));
      return { segments, parts: parts.with(a, parts[b] as ListedPart) };
    },
    refusal: ["integrity", expect.stringContaining(notItsOwn)],
  },
};

type Segment = [part: number, offset: number, length: number];
type ListedPart = [hex: string, size: number];
interface Listed {
  parts: ListedPart[];
  segments: Segment[];
}

/** The indexes of the first two sizes that are the same. */
function twoOfOneSize(sizes: readonly number[]): [number, number] {
  const first = sizes.findIndex((size, at) => sizes.includes(size, at + 1));
  const second = sizes.indexOf(sizes[first] ?? -1, first + 1);
  if (second < 0) throw new Error("no two have one size");
  return [first, second];
}

/** Changes what the lock of a job says of the parts of its one file. */
async function changeList(job: Job, change: (parts: Listed) => Listed): Promise<void> {
  const path = join(job.cwd, "weights.lock");
  const text = JSON.parse(await readFile(path, "utf8")) as {
    files: { "ocibundle.parts": Listed }[];
  };
  for (const file of text.files) {
    file["ocibundle.parts"] = { ...file["ocibundle.parts"], ...change(file["ocibundle.parts"]) };
  }
  await writeFile(path, JSON.stringify(text));
}

test("a lock whose parts make another file is refused, whatever parts the registry has", async () => {
  for (const [what, { change, refusal }] of Object.entries(wrongLists)) {
    for (const has of ["all", "some", "none"] as const) {
      const { registry, job } = await lockedModel();
      if (has !== "none") await pushParts(job, `${registry.host}/acme/model:v1`);
      if (has === "some") {
        const { layers } = await manifestOf(registry, "v1");
        await registry.ask(`/v2/acme/model/blobs/${layers[2]?.digest}`, { method: "DELETE" });
      }
      await changeList(job, change);
      for (const layout of ["parts", "bundle"]) {
        registry.seen.length = 0;
        const error = await failureOf(pushParts(job, `${registry.host}/acme/model:v2`, { layout }));
        expect([what, has, error.code, error.message]).toEqual([what, has, ...refusal]);
        expect(error.hint).toStartWith("run `ocibundle lock` again");
        expect(registry.seen.filter(({ method }) => /^(PUT|POST|PATCH)/.test(method))).toEqual([]);
      }
      // The way out that the message names.
      expect(await writeLock(job, lockRequest())).toMatchObject({ changed: true, read: 0 });
      await pushParts(job, `${registry.host}/acme/model:v2`);
    }
  }
}, 120_000);

/** The files that a job has hashed. */
const hashed = ({ events }: Job) =>
  events.flatMap((event) => (event.type === "start" && event.phase === "hash" ? [event.item] : []));

test("the parts of a lock are hashed once where nothing is known of them, and not where it was made here", async () => {
  const { registry, job, path, reference } = await lockedModel();
  expect(hashed(job)).toEqual(["model"]);
  await pushParts(job, reference);
  expect(hashed(job)).toEqual(["model"]);

  // Another machine: its cache knows nothing of the file.
  const other = jobIn(job.cwd, { OCIBUNDLE_CACHE: await temporaryDirectory() });
  await pushParts(other, reference);
  await pushParts(other, reference);
  expect(hashed(other)).toEqual(["model"]);
  // One that knows what the file holds, from a push as one layer.
  const third = jobIn(job.cwd, { OCIBUNDLE_CACHE: await temporaryDirectory() });
  await pushParts(third, `${registry.host}/acme/plain:v1`, { layout: "bundle-1" });
  await pushParts(third, reference);
  await pushParts(third, reference);
  expect(hashed(third)).toEqual(["model", "model"]);

  // Without the file only a machine that knows them can say that the parts are its own.
  await rm(path);
  await pushParts(job, reference, { weights: [] });
  const nowhere = jobIn(job.cwd, { OCIBUNDLE_CACHE: await temporaryDirectory() });
  const error = await failureOf(pushParts(nowhere, reference, { weights: [] }));
  expect([error.code, error.message]).toEqual([
    "file",
    expect.stringContaining(
      'weight "model": its parts in weights.lock cannot be compared with its file, which is not on this machine',
    ),
  ]);
}, 60_000);

test("a directory that is pushed in parts is read once, for the digests of its files and of their parts", async () => {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  const path = join(job.cwd, "weights/model.safetensors");
  writeTensors(path, smallModel());
  const push = (tag: string, more: Partial<PushRequest> = {}) =>
    pushParts(job, `${registry.host}/acme/model:${tag}`, {
      weights: [],
      paths: ["weights"],
      updateLock: true,
      ...more,
    });
  await push("v1");
  expect(hashed(job)).toEqual(["model"]);
  writeTensors(path, smallModel(), { changed: ["layers.3.mlp.weight"] });
  await push("v1", { dryRun: true });
  const { sent } = await push("v1");
  expect(hashed(job)).toEqual(["model", "model"]);
  expect(sent.blobs).toBe(2);

  // What is known already is not read for its parts before the lock is compared.
  const other = jobIn(job.cwd, { OCIBUNDLE_CACHE: await temporaryDirectory() });
  await pushParts(other, `${registry.host}/acme/plain:v1`, {
    layout: "bundle",
    weights: [],
    paths: ["weights"],
  });
  await pushParts(other, `${registry.host}/acme/model:v2`, { weights: [], paths: ["weights"] });
  expect(hashed(other)).toEqual(["model", "model"]);
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

test("a lock of files on a hub is held against them, once where nothing is known of its parts", async () => {
  const registry = await recordingRegistry();
  const path = join(await temporaryDirectory(), "model.safetensors");
  writeTensors(path, smallModel());
  const bytes = new Uint8Array(await readFile(path));
  const hub = await startHub({ "model.safetensors": bytes });
  afterwards(() => hub.close());
  const cwd = await temporaryDirectory();
  const machine = (cache: string) =>
    jobIn(cwd, { HF_ENDPOINT: hub.endpoint, OCIBUNDLE_CACHE: join(cwd, cache) });
  const hubLock = lockRequest({ paths: ["hf://acme/tiny"], parts: true });
  await writeLock(machine("first"), hubLock);
  /** Bytes of the file that were asked for since the last time. */
  const read = (): number =>
    hub.seen.splice(0).reduce((sum, { at, range = "" }) => {
      const [, start = 0, end = 0] = (/bytes=(\d+)-(\d+)/.exec(range) ?? []).map(Number);
      return at === "storage" && end > 0 ? sum + end - start + 1 : sum;
    }, 0);
  const push = (job: Job) =>
    pushParts(job, `${registry.host}/acme/model:v1`, { weights: ["hf://acme/tiny"] });
  const small = 4 * 1024 * 1024;
  read();
  await push(machine("first"));
  expect(Math.abs(read() - bytes.byteLength)).toBeLessThan(small);
  // The registry has it all: another machine reads the file to compare it, and only once.
  await push(machine("second"));
  expect(Math.abs(read() - bytes.byteLength)).toBeLessThan(small);
  await push(machine("second"));
  expect((await checkLock(machine("second"), hubLock)).changed).toEqual([]);
  expect(read()).toBeLessThan(small);

  for (const { change, refusal } of Object.values(wrongLists)) {
    await writeLock(machine("first"), hubLock);
    await changeList(machine("first"), change);
    for (const cache of ["first", "second"]) {
      const job = machine(cache);
      const error = await failureOf(push(job));
      expect([error.code, error.message]).toEqual(refusal);
      expect((await checkLock(machine(cache), hubLock)).changed).toEqual([
        { name: "model", what: ["parts"] },
      ]);
    }
  }
}, 60_000);
