import { expect, test } from "bun:test";
import { readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeLock } from "../../../../src/model/lock/lock.ts";
import { pullWeights } from "../../../../src/model/pull/pull.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { writeTensors } from "../../../support/tensors/tensor-file.ts";
import { pushParts } from "../../../support/model/push.ts";
import { type Job, jobIn } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import { recordingRegistry } from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { lockRequest } from "../../../support/model/lock.ts";

const mebibyte = 1024 * 1024;
const tensors = Array.from({ length: 9 }, (_, at) => [`t${at}.weight`, 8 * mebibyte] as const);

const lock = (job: Job, compression?: "auto" | "none", parts?: boolean) =>
  writeLock(job, lockRequest({ compression, ...(parts === undefined ? {} : { parts }) }));

type Part = [hex: string, size: number, stored?: string, bytes?: number, suffix?: string];

const lockedParts = async ({ cwd }: Job): Promise<Part[]> => {
  const text = await readFile(join(cwd, "weights.lock"), "utf8");
  const { files } = JSON.parse(text) as { files: Record<string, { parts: Part[] }>[] };
  return files[0]?.["ocibundle.parts"]?.parts ?? [];
};

const encodedBytes = ({ events }: Job): number =>
  events.reduce(
    (sum, event) =>
      sum + (event.type === "start" && event.phase === "compress" ? (event.bytes ?? 0) : 0),
    0,
  );

test("a lock says how parts are stored; they are pushed so, from the cache or made again, and pulled", async () => {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  const path = join(job.cwd, "weights/model.safetensors");
  writeTensors(path, tensors, { bf16: true });
  await lock(job, "auto", true);
  const parts = await lockedParts(job);
  expect(parts.map(([, , , , suffix]) => suffix)).toContain("+bp2.zstd");
  const saved = parts.reduce((sum, [, size, , stored = size]) => sum + size - stored, 0);
  expect(saved).toBeGreaterThan(0.25 * 72 * mebibyte);
  // Locked again, it is the same, and nothing is encoded.
  job.events.length = 0;
  expect((await lock(job)).changed).toBe(false);
  expect(encodedBytes(job)).toBe(0);

  const first = await pushParts(job, `${registry.host}/acme/model:v1`);
  expect(first.sent.bytes).toBeLessThan(0.75 * 72 * mebibyte);
  await rm(join(job.cwd, ".cache"), { recursive: true });
  const second = await pushParts(job, `${registry.host}/acme/other:v1`, { checkBlobs: true });
  expect(second.model.digest).toBe(first.model.digest);

  await pullWeights(job, {
    source: `${registry.host}/acme/other:v1`,
    output: join(job.cwd, "out"),
    only: [],
    force: false,
    useCache: true,
    checkWhole: true,
  });
  const pulled = await readFile(join(job.cwd, "out/src/weights/model.safetensors"));
  expect(digestOf(pulled)).toBe(digestOf(await readFile(path)));

  // As they are, when that is asked for.
  const plain = await pushParts(job, `${registry.host}/acme/model:plain`, {
    compression: "none",
    dryRun: true,
  });
  expect(plain.sent.bytes).toBeGreaterThan(71 * mebibyte);
  await lock(job, "none");
  expect((await lockedParts(job)).map((part) => part.length)).toEqual(parts.map(() => 2));
}, 60_000);

test("without a lock that has parts, those that are new are encoded, and no others", async () => {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  const path = join(job.cwd, "weights/model.safetensors");
  writeTensors(path, tensors, { bf16: true });
  await lock(job, "none");
  const reference = `${registry.host}/acme/model:v1`;
  const request = { compression: "auto" } as const;
  await pushParts(job, reference, request);
  expect(encodedBytes(job)).toBeGreaterThan(71 * mebibyte);
  writeTensors(path, tensors, { bf16: true, changed: ["t4.weight"] });
  await lock(job, "none");
  job.events.length = 0;
  const { sent } = await pushParts(job, reference, request);
  // A tensor; the recipe is new as well.
  expect(encodedBytes(job)).toBe(8 * mebibyte);
  expect(sent.blobs).toBe(2);
  expect(sent.bytes).toBeLessThan(0.75 * 8 * mebibyte);
}, 60_000);

test("a file that is not what it was is found when a part of it is made again", async () => {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  const path = join(job.cwd, "weights/model.safetensors");
  writeTensors(path, tensors, { bf16: true });
  await lock(job, "auto", true);
  await rm(join(job.cwd, ".cache"), { recursive: true });
  const bytes = await readFile(path);
  bytes[70 * mebibyte] = (bytes[70 * mebibyte] ?? 0) ^ 1;
  await writeFile(path, bytes);
  const error = await failureOf(pushParts(job, `${registry.host}/acme/model:v1`));
  expect(error.code).toBe("integrity");
  await truncate(path, 1000);
  expect((await failureOf(pushParts(job, `${registry.host}/acme/model:v1`))).code).toBe(
    "integrity",
  );
}, 60_000);

test("a lock names a blob that the part is not encoded to: what helps is said, and helps", async () => {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  writeTensors(join(job.cwd, "weights/model.safetensors"), tensors, { bf16: true });
  await lock(job, "auto", true);
  const parts = await lockedParts(job);
  const stored = parts.find(({ length }) => length > 2)?.[2] ?? "";
  const path = join(job.cwd, "weights.lock");
  await writeFile(path, (await readFile(path, "utf8")).replaceAll(stored, "0".repeat(64)));
  const error = await failureOf(pushParts(job, `${registry.host}/acme/model:v1`));
  expect(error.code).toBe("integrity");
  expect(error.message).toContain("is encoded to another blob than in");
  await lock(job, "none");
  await lock(job, "auto");
  expect(await lockedParts(job)).toEqual(parts);
}, 60_000);

test("compression is for parts", async () => {
  const job = jobIn(await temporaryDirectory());
  writeTensors(join(job.cwd, "weights/a.safetensors"), [["a", 1000]]);
  const request = { layout: undefined, compression: "auto" } as const;
  const error = await failureOf(pushParts(job, "localhost:1/acme/model:v1", request));
  expect(error.message).toContain("--compression needs --parts");
});

test("auto leaves a large file as it is, which would be one stream", async () => {
  const job = jobIn(await temporaryDirectory());
  const path = join(job.cwd, "weights/zeros.bin");
  writeTensors(join(job.cwd, "weights/small.safetensors"), [["a", 1000]]);
  await writeFile(path, "");
  await truncate(path, 64 * mebibyte);
  await lock(job, "auto");
  const { files } = JSON.parse(await readFile(join(job.cwd, "weights.lock"), "utf8")) as {
    files: { name: string; mediaType: string }[];
  };
  const type = files.find(({ name }) => name === "zeros")?.mediaType;
  expect(type).toBe("application/vnd.cog.weights.layer.v1");
  await truncate(path, 64 * mebibyte - 1);
  await lock(job, "auto");
  expect(await readFile(join(job.cwd, "weights.lock"), "utf8")).toContain("layer.v1+zstd");
});
