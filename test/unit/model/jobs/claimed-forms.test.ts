import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { checkLock, writeLock } from "../../../../src/model/lock/lock.ts";
import { failureOf } from "../../../support/failure.ts";
import { type Job, jobIn } from "../../../support/model/job.ts";
import { lockRequest } from "../../../support/model/lock.ts";
import { pushParts } from "../../../support/model/push.ts";
import { putBlob, recordingRegistry } from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory, writeFiles } from "../../../support/temporary-directory.ts";
import { smallModel, writeTensors } from "../../../support/tensors/tensor-file.ts";

type ListedPart = [hex: string, size: number, stored?: string, bytes?: number, suffix?: string];
interface Entry {
  name: string;
  digest: string;
  size: number;
  digestOriginal: string;
  "ocibundle.parts"?: { parts: ListedPart[]; segments: [number, number, number][] };
}

/** Changes the entries in the lock of a job. */
async function changeLock(job: Job, change: (files: Entry[]) => void): Promise<void> {
  const path = join(job.cwd, "weights.lock");
  const lock = JSON.parse(await readFile(path, "utf8")) as { files: Entry[] };
  change(lock.files);
  await writeFile(path, JSON.stringify(lock));
}

/** The same directory on a machine that knows nothing of it. */
const elsewhere = async ({ cwd }: Job): Promise<Job> =>
  jobIn(cwd, { OCIBUNDLE_CACHE: await temporaryDirectory() });

/** A model with parts that are stored as byte planes, locked and pushed as `v1`. */
async function pushedModel() {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  const path = join(job.cwd, "weights/model.safetensors");
  writeTensors(path, smallModel(), { bf16: true });
  await writeLock(job, lockRequest({ parts: true, compression: "auto" }));
  await pushParts(job, `${registry.host}/acme/model:v1`);
  return { registry, job, path, at: (tag: string) => `${registry.host}/acme/model:${tag}` };
}

/** The first two parts that are stored in the same form. */
function twoCompressed(parts: readonly ListedPart[]): [number, number] {
  const [first, second] = parts.flatMap(([, , , , suffix], at) =>
    suffix === undefined ? [] : [at],
  );
  if (first === undefined || second === undefined) throw new Error("no two parts are compressed");
  return [first, second];
}

/** Swaps the blobs of two parts. */
const swapForms = (files: Entry[]): void => {
  const parts = files[0]?.["ocibundle.parts"]?.parts ?? [];
  const [a, b] = twoCompressed(parts);
  const form = (at: number) => parts[at]?.slice(2) ?? [];
  const [formA, formB] = [form(a), form(b)];
  parts[a] = [...(parts[a]?.slice(0, 2) ?? []), ...formB] as ListedPart;
  parts[b] = [...(parts[b]?.slice(0, 2) ?? []), ...formA] as ListedPart;
};

test("a lock that swaps the compressed blobs of two parts is refused, whatever the registry and the cache have", async () => {
  const { registry, job, at } = await pushedModel();
  const right = await readFile(join(job.cwd, "weights.lock"), "utf8");
  await changeLock(job, swapForms);
  for (const machine of [job, await elsewhere(job)]) {
    for (const reference of [at("v2"), `${registry.host}/acme/empty:v2`]) {
      const error = await failureOf(pushParts(machine, reference));
      expect([error.code, error.hint]).toEqual([
        "integrity",
        expect.stringMatching(/^run `ocibundle lock/),
      ]);
      expect(error.message).toMatch(/part \d+ of 15 of weight "model"/);
      const [, repository = ""] = /\/(.*):/.exec(reference) ?? [];
      const manifest = await registry.ask(`/v2/${repository}/manifests/v2`);
      expect(manifest.status).toBe(404);
    }
    const dry = pushParts(machine, at("v2"), { dryRun: true });
    expect((await failureOf(dry)).code).toBe("integrity");
    expect((await checkLock(machine, lockRequest())).changed).toEqual([
      { name: "model", what: ["parts"] },
    ]);
  }
  // The way out that the message names, also where nothing is known of the lock.
  const machine = await elsewhere(job);
  expect(await writeLock(machine, lockRequest())).toMatchObject({ changed: true });
  const mended = JSON.parse(await readFile(join(job.cwd, "weights.lock"), "utf8")) as object;
  expect(mended).toMatchObject({ files: (JSON.parse(right) as { files: object[] }).files });
  await pushParts(machine, at("v2"));
}, 120_000);

test("two parts with one blob are refused", async () => {
  const { job, at } = await pushedModel();
  await changeLock(job, (files) => {
    const parts = files[0]?.["ocibundle.parts"]?.parts ?? [];
    const [a, b] = twoCompressed(parts);
    parts[a] = [...(parts[a]?.slice(0, 2) ?? []), ...(parts[b]?.slice(2) ?? [])] as ListedPart;
  });
  const error = await failureOf(pushParts(job, at("v2")));
  expect([error.code, error.message]).toEqual([
    "integrity",
    expect.stringContaining("have different content, but the same blob"),
  ]);
}, 120_000);

/** The originals of the forms in a record. */
const forms = (text: string) =>
  (JSON.parse(text) as { forms: { original: string }[] }).forms.map(({ original }) => original);

test("a right lock is checked once on a machine that knows nothing of it", async () => {
  const { job, at } = await pushedModel();
  const machine = await elsewhere(job);
  expect(await checkLock(machine, lockRequest())).toMatchObject({ changed: [] });
  const records = join(machine.env["OCIBUNDLE_CACHE"] ?? "", "records/forms.json");
  const recorded = await readFile(records, "utf8");
  const other = await elsewhere(job);
  expect(await pushParts(other, at("v2"))).toMatchObject({ sent: { blobs: 0 } });
  const pushed = await readFile(join(other.env["OCIBUNDLE_CACHE"] ?? "", "records/forms.json"));
  expect(forms(String(pushed)).toSorted()).toEqual(forms(recorded).toSorted());
  // The other part is small: it is encoded again each time.
  expect(forms(recorded)).toHaveLength(1);
}, 120_000);

test("a part that another version has encoded is decoded where the registry has it", async () => {
  const { registry, job, path, at } = await pushedModel();
  const bytes = await readFile(path);
  let blob: Uint8Array<ArrayBuffer> = new Uint8Array();
  await changeLock(job, (files) => {
    const { parts = [], segments = [] } = files[0]?.["ocibundle.parts"] ?? {};
    const [first] = twoCompressed(parts);
    const start = segments.slice(
      0,
      segments.findIndex(([part]) => part === first),
    );
    const offset = start.reduce((sum, [, , length]) => sum + length, 0);
    const [hex = "", size = 0] = parts[first] ?? [];
    blob = new Uint8Array(zstdCompressSync(bytes.subarray(offset, offset + size)));
    const digest = createHash("sha256").update(blob).digest("hex");
    parts[first] = [hex, size, digest, blob.length, "+zstd"];
  });
  const machine = await elsewhere(job);
  await putBlob(registry, "acme/model", blob, "application/octet-stream");
  expect(await pushParts(machine, at("v2"))).toMatchObject({ tags: ["v2"] });
  // Where it would have to be sent, nobody can make it.
  const empty = await recordingRegistry();
  const error = await failureOf(pushParts(machine, `${empty.host}/acme/model:v2`));
  expect([error.code, error.message]).toEqual([
    "integrity",
    expect.stringContaining("is encoded to another blob than in weights.lock"),
  ]);
}, 120_000);

test("a lock that swaps the compressed blobs of two files is refused", async () => {
  for (const compression of ["zstd", "gzip"] as const) {
    const registry = await recordingRegistry();
    const job = jobIn(await temporaryDirectory());
    await writeFiles(join(job.cwd, "weights"), {
      "a.json": JSON.stringify(Array.from({ length: 5000 }, (_, at) => at)),
      "b.json": JSON.stringify(Array.from({ length: 5000 }, (_, at) => at * 3)),
    });
    await writeLock(job, lockRequest({ compression }));
    const at = (tag: string) => `${registry.host}/acme/small:${tag}`;
    await pushParts(job, at("v1"), { layout: "bundle-1" });
    // Nothing is known elsewhere, and nothing has to be sent.
    const right = await pushParts(await elsewhere(job), at("v1"), { layout: "bundle-1" });
    expect(right.sent.blobs).toBe(0);
    await changeLock(job, ([a, b]) => {
      if (a === undefined || b === undefined) throw new Error("there are two files");
      [a.digest, a.size, b.digest, b.size] = [b.digest, b.size, a.digest, a.size];
    });
    for (const machine of [job, await elsewhere(job)]) {
      for (const layout of ["bundle-1", "parts"]) {
        for (const reference of [at("v2"), `${registry.host}/acme/empty-${layout}:v2`]) {
          const error = await failureOf(pushParts(machine, reference, { layout }));
          expect([layout, error.code, error.hint]).toEqual([
            layout,
            "integrity",
            "run `ocibundle lock` again, then push again",
          ]);
        }
      }
    }
    // A push that fails for one file has published nothing.
    expect((await registry.ask("/v2/acme/small/manifests/v2")).status).toBe(404);
  }
}, 120_000);
