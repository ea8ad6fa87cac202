import { expect, test } from "bun:test";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { copyModel } from "../../../../src/model/jobs/copy.ts";
import { diffModels } from "../../../../src/model/jobs/diff.ts";
import { inspectTensors } from "../../../../src/model/jobs/inspect-tensors.ts";
import { inspectRaw } from "../../../../src/model/jobs/inspect.ts";
import { verifySource } from "../../../../src/model/jobs/verify.ts";
import { pullWeights } from "../../../../src/model/pull/pull.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import {
  type Bytes,
  contentOf,
  noise,
  planes,
  putParts,
  type PutOptions,
  type TestFile,
  weights,
} from "../../../support/model/parts-artifact.ts";
import { safetensors } from "../../../support/tensors/files.ts";
import { jobIn } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import { recordingRegistry } from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const repository = "acme/model";

async function bench() {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  return {
    registry,
    job,
    source: (tag = "v1") => `${registry.host}/${repository}:${tag}`,
    put: (files: readonly TestFile[], options: PutOptions = {}) =>
      putParts(registry, repository, files, options),
    pull: (source = `${registry.host}/${repository}:v1`) =>
      pullWeights(job, {
        source,
        output: join(job.cwd, "out"),
        only: [],
        force: false,
        useCache: true,
        checkWhole: true,
      }),
    read: async (name: string) => new Uint8Array(await readFile(join(job.cwd, "out/src", name))),
    asked: (bytes: Bytes) =>
      registry.done.filter((line) => line.startsWith("GET") && line.includes(digestOf(bytes))),
  };
}

const half = weights(1_200_001, 1);
const single = weights(90_002, 2, 4);
const forms = new Map([
  [half, ["+bp2.zstd", planes(half)] as const],
  [single, ["+bp4.zstd", planes(single, 4)] as const],
]);

test("parts in planes are pulled, also as pieces of a file, and are seeds by their original bytes", async () => {
  const { put, pull, read, job, asked, source } = await bench();
  const model: TestFile = {
    name: "model.bin",
    pieces: [
      { part: half, start: 0, end: 700_001 },
      single,
      { part: half, start: 10, end: half.length },
    ],
  };
  await put([model], { forms });
  await pull();
  expect(digestOf(await read("model.bin"))).toBe(digestOf(contentOf(model)));
  // The same parts, stored as they are now, are taken from what was put together.
  await put([{ name: "next.bin", pieces: [single, noise(5000, 9)] }], { tag: "v2" });
  await pull(source("v2"));
  expect(asked(single)).toEqual([]);
  expect(digestOf((await read("next.bin")).subarray(0, single.length))).toBe(digestOf(single));
  expect(job.warnings()).toEqual([]);
});

test("parts in planes are verified, listed, compared, and copied to a plain model", async () => {
  const { put, pull, read, job, source } = await bench();
  const file = safetensors([["a", half.subarray(0, 100_000)]]);
  const bytes = new Uint8Array(file);
  const model: TestFile = { name: "a.safetensors", pieces: [bytes, single] };
  const both = new Map([...forms, [bytes, ["+bp2.zstd", planes(bytes)] as const]]);
  await put([model], { forms: both });
  await put([{ name: "b.bin", pieces: [noise(1000, 3), noise(100, 4)] }], { tag: "before" });
  const request = { source: source(), dir: undefined, quick: false };
  const { problems, checked } = await verifySource(job, request);
  expect(problems).toEqual([]);
  // What was read are the parts as they are stored, and the recipe.
  const manifest = JSON.parse(Buffer.from(await inspectRaw(job, source())).toString()) as {
    config: { size: number };
    layers: { size: number }[];
  };
  expect(checked.bytes).toBe(
    [manifest.config, ...manifest.layers].reduce((sum, { size }) => sum + size, 0),
  );
  const { fetch } = await diffModels(job, source("before"), source());
  const stored = [...both.values()].map(([, blob]) => blob.length);
  const [, second = 0, third = 0] = stored;
  expect(fetch.weights).toEqual({ blobs: 2, bytes: second + third });
  const tensors = await inspectTensors(job, source());
  expect(JSON.stringify(tensors)).not.toContain("not read");
  await copyModel(job, {
    source: source(),
    target: source("plain"),
    layout: "bundle",
    platform: undefined,
    referrers: false,
    dryRun: false,
  });
  await pull(source("plain"));
  expect(digestOf(await read("a.safetensors"))).toBe(digestOf(contentOf(model)));
});

test("verify finds a blob whose part is right and whose own bytes are not those of its digest", async () => {
  const { put, job, registry, source } = await bench();
  await put([{ name: "a.bin", pieces: [half, single] }], { forms });
  const [, blob = half] = forms.get(half) ?? [];
  // The same planes, each as it is in a frame without a size: another blob of the same part.
  const other = new Uint8Array(planes(half));
  registry.meddle(async (request, next) => {
    const response = await next(request);
    if (request.method !== "GET" || !request.url.includes(digestOf(blob))) return response;
    // A bit of the frame's header that decoders pass over.
    other[4] = (other[4] ?? 0) | 0x10;
    return new Response(other, { headers: response.headers });
  });
  const { problems } = await verifySource(job, { source: source(), dir: undefined, quick: false });
  expect(problems).toMatchObject([
    { kind: "differs", detail: expect.stringContaining("other bytes") },
  ]);
});

const joined = (...chunks: Uint8Array[]): Bytes => new Uint8Array(Buffer.concat(chunks));

const hostile: Record<string, readonly [suffix: string, blob: Bytes]> = {
  "cut off": ["+bp2.zstd", planes(half).slice(0, -1)],
  "a frame short": ["+bp2.zstd", planes(half.slice(0, 1_048_576))],
  "followed by a byte": ["+bp2.zstd", joined(planes(half), new Uint8Array(1))],
  "followed by a block": ["+bp2.zstd", joined(planes(half), planes(half.slice(0, 10)))],
  "planes of another number": ["+bp4.zstd", planes(half)],
  "planes of another part": ["+bp2.zstd", planes(weights(half.length, 7))],
  "a larger part": ["+bp2.zstd", planes(joined(half, half))],
  "zstd said to be planes": ["+bp2.zstd", joined(Bun.zstdCompressSync(half))],
  "planes said to be zstd": ["+zstd", planes(half)],
  "no frames": ["+bp2.zstd", noise(100_000, 8)],
  "zstd that is followed by a byte": [
    "+zstd",
    joined(Bun.zstdCompressSync(half), new Uint8Array(1)),
  ],
  "zstd that is cut off": ["+zstd", joined(Bun.zstdCompressSync(half).subarray(0, -1))],
};

for (const [name, form] of Object.entries(hostile)) {
  test(`a part is refused: ${name}`, async () => {
    const { put, pull, job, source } = await bench();
    const model = { name: "model.bin", pieces: [single, half] };
    await put([model], { forms: new Map([[half, form]]) });
    expect((await failureOf(pull())).code).toBe("integrity");
    const left = await readdir(join(job.cwd, "out"), { recursive: true });
    expect(left.filter((entry) => /tmp|\.bin/.test(entry))).toEqual([]);
    const { problems } = await verifySource(job, {
      source: source(),
      dir: undefined,
      quick: false,
    });
    expect(problems).toMatchObject([{ item: expect.stringContaining("part sha256:") }]);
  });
}
