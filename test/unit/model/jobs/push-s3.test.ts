import { expect, test } from "bun:test";
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { type PushRequest, pushModel } from "../../../../src/model/jobs/push.ts";
import { checkLock, writeLock } from "../../../../src/model/lock/lock.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { afterwards } from "../../../support/afterwards.ts";
import { startHub } from "../../../support/sources/hub.ts";
import { type S3Switches, startS3 } from "../../../support/sources/s3.ts";
import { startWeb } from "../../../support/sources/web.ts";
import { pattern, pushOfNothing } from "../../../support/model/push.ts";
import { jobIn } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import { recordingRegistry } from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory, writeFiles } from "../../../support/temporary-directory.ts";

const large = pattern(9_000_000, 1);
const model = {
  "llama/": "",
  "llama/config.json": `{"hidden_size": 8}`,
  "llama/a.safetensors": large,
  "llama/sub/b + c%.safetensors": pattern(2000, 2),
  "llama2/other.bin": "other",
};

async function bench(switches: S3Switches = {}, files: Parameters<typeof startS3>[0] = model) {
  const store = await startS3(files, switches);
  afterwards(() => store.close());
  const registry = await recordingRegistry();
  const directory = await temporaryDirectory();
  const keys = { AWS_ACCESS_KEY_ID: "AKIDTEST", AWS_SECRET_ACCESS_KEY: "verysecretkey" };
  const job = (env: Record<string, string> = {}) =>
    jobIn(directory, { AWS_ENDPOINT_URL: store.endpoint, ...keys, ...env });
  const push = (
    tag: string,
    request: Partial<PushRequest> = {},
    env: Record<string, string> = {},
  ) =>
    pushModel(job(env), {
      ...pushOfNothing,
      reference: `${registry.host}/acme/${tag}`,
      paths: ["s3://models/llama"],
      ...request,
    });
  const lock = (paths: string[], env: Record<string, string> = {}) =>
    writeLock(job(env), { paths, dest: undefined, output: undefined, compression: undefined });
  const check = (paths: string[]) =>
    checkLock(job(), { paths, dest: undefined, output: undefined, compression: undefined });
  return { store, registry, directory, job, push, lock, check };
}

test("a prefix goes from the bucket to the registry, as its directory would, and not to this disk", async () => {
  const { store, directory, push, job } = await bench({ pageSize: 2 });
  const report = await push("m:v1");
  expect(report.model.weights?.files.map(({ dest }) => dest)).toEqual([
    "/src/weights/a.safetensors",
    "/src/weights/config.json",
    "/src/weights/sub/b + c%.safetensors",
  ]);
  const written = readdirSync(directory, { recursive: true, encoding: "utf8" });
  expect(Math.max(...written.map((name) => statSync(join(directory, name)).size))).toBeLessThan(
    100_000,
  );
  const lock = readFileSync(join(directory, "weights.lock"), "utf8");
  expect(lock).toContain('"source": "s3://models/llama/a.safetensors"');
  expect(lock).toMatch(/"sourceVersion": "etag:\\"[0-9a-f]{32}\\""/);
  expect(lock).not.toContain("verysecretkey");
  expect(store.seen.every(({ authorization }) => authorization?.startsWith("AWS4-HMAC"))).toBe(
    true,
  );
  await writeFiles(directory, {
    "dir/a.safetensors": large,
    "dir/config.json": `{"hidden_size": 8}`,
    "dir/sub/b + c%.safetensors": pattern(2000, 2),
  });
  const locked = {
    paths: ["dir"],
    dest: undefined,
    output: "dir.lock",
    compression: "none",
  } as const;
  await writeLock(job(), locked);
  const same = await push("m:v2", { paths: [], weights: ["dir"], lock: "dir.lock" });
  expect(same.model.digest).toBe(report.model.digest);
});

test("what was seen before is not read again while its ETag is the same", async () => {
  const { store, push, check } = await bench();
  await push("m:v1");
  store.seen.length = 0;
  await push("m:v2");
  await push("other:v1");
  expect(store.seen.filter(({ range }) => range !== undefined)).toEqual([]);
  store.objects.set("llama/a.safetensors", pattern(9_000_000, 3));
  expect(await failureOf(push("m:v3"))).toMatchObject({ code: "integrity" });
  store.seen.length = 0;
  expect((await check(["s3://models/llama"])).changed).toHaveLength(1);
  expect(store.seen.filter(({ range }) => range !== undefined)).toEqual([]);
});

test("the store's own SHA-256 spares the reading", async () => {
  const { store, lock } = await bench({ checksums: true });
  const { files } = await lock(["s3://models/llama"]);
  expect(files.find(({ name }) => name === "a")?.digest).toBe(digestOf(large));
  expect(store.seen.filter(({ range }) => range !== undefined)).toEqual([]);
});

test("an object that is replaced while it is read is never a mixture", async () => {
  const { store, push } = await bench();
  let reads = 0;
  store.switches.onPart = (key) => {
    if (!key.endsWith("a.safetensors")) return;
    reads += 1;
    if (reads === 2) store.objects.set(key, pattern(9_000_000, 7));
  };
  const error = await failureOf(push("m:v1"));
  expect(error).toMatchObject({ code: "integrity" });
  expect(error.message).toContain("s3://models/llama/a.safetensors: the object changed");
});

test("an object without an ETag is read, and read again the next time", async () => {
  const { store, push, directory } = await bench({ noEtags: true });
  await push("m:v1");
  expect(readFileSync(join(directory, "weights.lock"), "utf8")).not.toContain("sourceVersion");
  store.seen.length = 0;
  await push("m:v2");
  expect(store.seen.some(({ range }) => range !== undefined)).toBe(true);
});

test.each([
  ["an object", "s3://models/llama/config.json", ["config.json"]],
  ["a directory with a slash", "s3://models/llama/sub/", ["b + c%.safetensors"]],
  ["the bucket", "s3://models", ["llama/a.safetensors", "llama/config.json"]],
])("%s is named", async (_, source, names) => {
  const { lock } = await bench({}, { ...model, ".hidden": "x" });
  const { files } = await lock([source]);
  const dests = files.map(({ dest }) => dest.replace("/src/weights/", ""));
  expect(dests).toEqual(expect.arrayContaining(names));
  expect(dests).not.toContain(".hidden");
});

test.each<[string, S3Switches, string, string, string]>([
  ["a bucket that does not exist", {}, "s3://missing/x", "not_found", "the bucket does not exist"],
  ["a prefix that does not exist", {}, "s3://models/none", "not_found", "does not exist"],
  ["a wrong key", { accessKey: "AKIDOTHER" }, "s3://models/llama", "denied", "access key"],
  ["a key that leads out", { extra: ["llama/../x"] }, "s3://models/llama", "file", '"llama/../x"'],
  ["an absolute key", { extra: ["llama//x"] }, "s3://models/llama", "file", '"llama//x"'],
  ["a listing without an end", { endless: true }, "s3://models/llama", "network", "does not end"],
  [
    "a file with two names",
    { extra: ["llama/a.safetensors"] },
    "s3://models/llama",
    "network",
    "twice",
  ],
])("%s is an error", async (_, switches, source, code, words) => {
  const { lock } = await bench(switches);
  const error = await failureOf(lock([source]));
  expect(error).toMatchObject({ code });
  expect(error.message).toContain(words);
  expect(error.message).not.toContain("verysecretkey");
});

test.each([
  ["3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY", true],
  ["v".repeat(1025), false],
  ["a b", false],
])("a version goes into the lock where it is one: %p", async (versionId, isLocked) => {
  const { directory, lock, store, job } = await bench({ noEtags: true, versionId });
  const warnings: string[] = [];
  const emit = (event: { type: string; message?: string }): void => {
    if (event.type === "warning") warnings.push(event.message ?? "");
  };
  const request = { dest: undefined, output: undefined, compression: undefined };
  if (isLocked) await lock(["s3://models/llama/config.json"]);
  else
    await writeLock({ ...job(), emit }, { ...request, paths: ["s3://models/llama/config.json"] });
  const written = readFileSync(join(directory, "weights.lock"), "utf8");
  expect(written.includes(`"sourceVersion": "version:${versionId}"`)).toBe(isLocked);
  expect(written.includes("sourceVersion")).toBe(isLocked);
  expect(store.seen.some(({ path }) => path.includes("versionId="))).toBe(isLocked);
  expect(warnings.some((message) => message.includes("its version is invalid"))).toBe(!isLocked);
});

test("1,001 keys are more than one page", async () => {
  const many = Object.fromEntries(
    Array.from({ length: 1001 }, (_, index) => [`many/f${index}.bin`, `content ${index}`]),
  );
  const { lock } = await bench({}, many);
  expect((await lock(["s3://models/many"])).files).toHaveLength(1001);
});

test("a bucket of another region is asked for there", async () => {
  const { lock, store } = await bench({ region: "eu-west-3" });
  expect((await lock(["s3://models/llama"])).files).toHaveLength(3);
  expect(
    store.seen.filter(({ authorization }) => !authorization?.includes("/eu-west-3/")),
  ).toHaveLength(1);
});

test("wrong bytes are found by the digest of the lock", async () => {
  const { push, store } = await bench({ checksums: true, wrong: ["llama/a.safetensors"] });
  expect(await failureOf(push("m:v1"))).toMatchObject({ code: "integrity" });
  delete store.switches.wrong;
  await push("m:v1");
});

const readsOf = (store: { seen: { range: string | undefined; path: string }[] }): number =>
  store.seen
    .filter(({ range, path }) => range !== undefined && path.includes("a.safetensors"))
    .reduce((sum, { range = "" }) => {
      const [, first, last] = /(\d+)-(\d+)/.exec(range) ?? [];
      return sum + Number(last) + 1 - Number(first);
    }, 0);

test("an object whose digest nobody knows is read once, and sent on the way", async () => {
  const { push, store, registry } = await bench();
  const report = await push("m:v1");
  expect(report.sent.bytes).toBeGreaterThan(large.byteLength);
  expect(readsOf(store)).toBe(large.byteLength);
  const blob = await registry.ask(`/v2/acme/m/blobs/${digestOf(large)}`);
  expect(digestOf(new Uint8Array(await blob.arrayBuffer()))).toBe(digestOf(large));
});

test("what the lock names and the registry has is compared, and not sent again", async () => {
  const { push, store, directory, registry } = await bench();
  await push("m:v1");
  rmSync(join(directory, "cache"), { recursive: true, force: true });
  store.switches.noEtags = true;
  registry.seen.length = 0;
  await push("m:v2");
  expect(registry.seen.filter(({ method }) => method === "PATCH")).toEqual([]);
  store.objects.set("llama/a.safetensors", pattern(9_000_000, 5));
  registry.seen.length = 0;
  expect(await failureOf(push("m:v3"))).toMatchObject({ code: "integrity" });
  const named = await registry.ask(`/v2/acme/m/blobs/${digestOf(pattern(9_000_000, 5))}`);
  expect(named.status).toBe(404);
  await push("m:v3", { updateLock: true });
});

test("an object that is not what the lock says is not stored where the registry lacks it", async () => {
  const { push, lock, store, registry } = await bench();
  await lock(["s3://models/llama"]);
  store.objects.set("llama/a.safetensors", pattern(9_000_000, 5));
  expect(
    await failureOf(push("m:v1", { paths: [], weights: ["s3://models/llama"] })),
  ).toMatchObject({
    code: "integrity",
  });
  for (const bytes of [large, pattern(9_000_000, 5)]) {
    expect((await registry.ask(`/v2/acme/m/blobs/${digestOf(bytes)}`)).status).toBe(404);
  }
});

test("a registry that takes no parts gets the object in one request, after it was read for its digest", async () => {
  const { push, store, registry } = await bench();
  registry.meddle((request, serve) =>
    request.method === "PATCH"
      ? Promise.resolve(new Response(null, { status: 405 }))
      : serve(request),
  );
  await push("m:v1");
  expect(readsOf(store)).toBeGreaterThanOrEqual(2 * large.byteLength);
  const blob = await registry.ask(`/v2/acme/m/blobs/${digestOf(large)}`);
  expect(digestOf(new Uint8Array(await blob.arrayBuffer()))).toBe(digestOf(large));
});

test.each([1, 2, 3])(
  "parts whose answers are lost (%i) are sent until the blob is right",
  async (times) => {
    const { push, registry } = await bench();
    let lost = 0;
    registry.meddle(async (request, serve) => {
      const isPart =
        request.method === "PATCH" || (request.method === "PUT" && request.url.includes("blobs"));
      const answer = await serve(request);
      if (!isPart || lost >= times) return answer;
      lost += 1;
      return new Response(null, { status: 503 });
    });
    await push("m:v1");
    const blob = await registry.ask(`/v2/acme/m/blobs/${digestOf(large)}`);
    expect(digestOf(new Uint8Array(await blob.arrayBuffer()))).toBe(digestOf(large));
  },
);

test("a directory, a hub, a bucket and a URL are one model, on the command line and in a project file", async () => {
  const { directory, registry, job, store } = await bench();
  const hub = await startHub({ "tokenizer.json": "{}", "notes.md": "no weights" });
  const web = await startWeb({ "adapter.bin": pattern(3000, 9) });
  afterwards(() => hub.close());
  afterwards(() => web.close());
  await writeFiles(directory, { "dir/readme.txt": "here" });
  const env = { HF_ENDPOINT: hub.endpoint };
  const url = `${web.origin}/adapter.bin`;
  const push = (tag: string, request: Partial<PushRequest>) =>
    pushModel(job(env), {
      ...pushOfNothing,
      reference: `${registry.host}/acme/m:${tag}`,
      ...request,
    });
  const named = await push("v1", {
    paths: ["dir", "hf://acme/tiny", "s3://models/llama", url],
    exclude: ["*.md"],
  });
  const dests = (report: typeof named) => report.model.weights?.files.map(({ dest }) => dest);
  expect(dests(named)).toEqual(
    ["a.safetensors", "adapter.bin", "config.json", "readme.txt", "sub/b + c%.safetensors"]
      .concat("tokenizer.json")
      .map((name) => `/src/weights/${name}`),
  );
  const project = {
    weights: [
      {
        source: ["./dir", { uri: "hf://acme/tiny", exclude: ["*.md"] }, "s3://models/llama", url],
        target: "/src/weights",
      },
    ],
  };
  await writeFiles(directory, { "ocibundle.yaml": JSON.stringify(project) });
  store.seen.length = 0;
  const locked = { paths: [], dest: undefined, output: "project.lock", compression: undefined };
  await writeLock(job(env), locked);
  expect(store.seen.filter(({ range }) => range !== undefined)).toEqual([]);
  const listed = await push("v2", { lock: "project.lock" });
  expect(dests(listed)).toEqual(dests(named));
});
