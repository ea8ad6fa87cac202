import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkLock, type LockRequest, writeLock } from "../../../../src/model/lock/lock.ts";
import { isDrift } from "../../../../src/model/lock/lock-drift.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { afterwards } from "../../../support/afterwards.ts";
import { type HubSwitches, type ScriptedHub, startHub } from "../../../support/sources/hub.ts";
import { type Job, jobIn } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { lockRequest } from "../../../support/model/lock.ts";

const large = Buffer.alloc(5000, "weights");
const model = {
  ".gitattributes": "* filter=lfs\n",
  "config.json": `{"hidden_size": 8}`,
  "model.safetensors": large,
  "original/model.bin": Buffer.alloc(3000, "pickle"),
};

async function hubOf(switches: HubSwitches = {}, files: Parameters<typeof startHub>[0] = model) {
  const hub = await startHub(files, switches);
  afterwards(() => hub.close());
  return hub;
}

const directories = new Map<ScriptedHub, string>();

/** A run of its own, in the directory that the hub's test has. */
async function jobFor(hub: ScriptedHub, env: Record<string, string> = {}): Promise<Job> {
  const directory = directories.get(hub) ?? (await temporaryDirectory());
  directories.set(hub, directory);
  return jobIn(directory, { HF_ENDPOINT: hub.endpoint, ...env });
}

const request = (path = "hf://acme/tiny", more: Partial<LockRequest> = {}): LockRequest =>
  lockRequest({ paths: [path], ...more });

const resolved = ({ seen }: ScriptedHub) => seen.filter(({ path }) => path.includes("/resolve/"));

test("a model is locked by what the hub lists; what it has no digest of is fetched once", async () => {
  const hub = await hubOf();
  const report = await writeLock(await jobFor(hub), request());
  expect(report.files).toEqual([
    expect.objectContaining({
      name: "config",
      dest: "/src/weights/config.json",
      digest: digestOf(model["config.json"]),
      source: `hf://acme/tiny@${hub.commit}/config.json`,
    }),
    expect.objectContaining({
      name: "model",
      dest: "/src/weights/model.safetensors",
      digest: digestOf(large),
      digestOriginal: digestOf(large),
      size: 5000,
      mediaType: "application/vnd.cog.weights.layer.v1",
      source: `hf://acme/tiny@${hub.commit}/model.safetensors`,
    }),
    expect.objectContaining({ name: "original/model", size: 3000 }),
  ]);
  expect(report.leftOut).toEqual([`hf://acme/tiny@${hub.commit}/.gitattributes`]);
  expect(hub.seen.map(({ path }) => path)).toEqual([
    "/api/models/acme/tiny/revision/main",
    `/api/models/acme/tiny/tree/${hub.commit}?recursive=true&expand=false`,
    `/acme/tiny/resolve/${hub.commit}/config.json`,
  ]);
  hub.seen.length = 0;
  const again = await writeLock(await jobFor(hub), request());
  expect(again.changed).toBe(false);
  expect(resolved(hub)).toEqual([]);
});

test("patterns, a path and a revision choose what is locked", async () => {
  const hub = await hubOf();
  const names = async (path: string, more?: Partial<LockRequest>) =>
    (await writeLock(await jobFor(hub), request(path, { output: "/dev/null", ...more }))).files.map(
      ({ dest }) => dest,
    );
  expect(await names("hf://acme/tiny", { exclude: ["original/"] })).toEqual([
    "/src/weights/config.json",
    "/src/weights/model.safetensors",
  ]);
  expect(await names("hf://acme/tiny", { include: ["*.bin"], dest: "/m" })).toEqual([
    "/m/original/model.bin",
  ]);
  expect(await names("hf://acme/tiny/original")).toEqual(["/src/weights/model.bin"]);
  expect(await names("huggingface://models/acme/tiny@main/config.json")).toEqual([
    "/src/weights/config.json",
  ]);
  expect(await names(`hf://acme/tiny@${hub.commit}/.gitattributes`)).toEqual([
    "/src/weights/.gitattributes",
  ]);
});

test("an empty file is locked as one of a directory is", async () => {
  const hub = await hubOf({}, { "a.txt": "", "b.txt": "b" });
  const { files } = await writeLock(await jobFor(hub), request());
  expect(files[0]).toMatchObject({
    sizeUncompressed: 0,
    mediaType: expect.stringContaining("gzip"),
  });
});

test("a check sees a moved revision without fetching a weight", async () => {
  const hub = await hubOf();
  await writeLock(await jobFor(hub), request());
  hub.seen.length = 0;
  expect(isDrift(await checkLock(await jobFor(hub), request()))).toBe(false);
  hub.files.set("model.safetensors", Buffer.alloc(5000, "changed"));
  hub.files.set("more.safetensors", Buffer.alloc(2000, "more"));
  const old = hub.seen.length;
  expect(await checkLock(await jobFor(hub), request())).toEqual({
    changed: [{ name: "model", what: ["digest"] }],
    missing: [],
    added: ["more"],
  });
  expect(hub.seen.length).toBeGreaterThan(old);
  expect(resolved(hub)).toEqual([]);
});

test("a lock of a revision that moved keeps what is known of unchanged files", async () => {
  const hub = await hubOf();
  await writeLock(await jobFor(hub), request());
  const before = hub.commit;
  hub.files.set("model.safetensors", Buffer.alloc(5000, "changed"));
  hub.seen.length = 0;
  const { files } = await writeLock(await jobFor(hub), request());
  expect(hub.commit).not.toBe(before);
  expect(files.map(({ source }) => source)).toEqual([
    `hf://acme/tiny@${hub.commit}/config.json`,
    `hf://acme/tiny@${hub.commit}/model.safetensors`,
    `hf://acme/tiny@${hub.commit}/original/model.bin`,
  ]);
  expect(resolved(hub)).toEqual([]);
});

test("a listing in pages, a renamed model and limits are followed", async () => {
  const hub = await hubOf({ pageSize: 1, limited: 2, formerName: "old/name" });
  const { files } = await writeLock(await jobFor(hub), request("hf://old/name"));
  expect(files).toHaveLength(3);
  expect(files[0]?.source).toBe(`hf://old/name@${hub.commit}/config.json`);
});

test("the token goes to the hub and to no storage, and is in no message", async () => {
  const token = "hf_secretsecretsecretsecretsecretsecret";
  const hub = await hubOf({ token, lfsFrom: 10 }, { "a.bin": Buffer.alloc(20, "a"), "b.txt": "b" });
  const job = await jobFor(hub, { HF_TOKEN: token });
  await writeLock(job, request());
  expect(hub.seen.every(({ authorization }) => authorization === `Bearer ${token}`)).toBe(true);
  hub.switches.refusal = { status: 403, code: "GatedRepo", message: `no access for ${token}` };
  const refused = await jobFor(hub, { HUGGING_FACE_HUB_TOKEN: token });
  const error = await failureOf(writeLock(refused, request()));
  expect(error.code).toBe("denied");
  expect(error.message).toBe(
    "hf://acme/tiny@main: access to the model is gated: no access for *** (403)",
  );
  expect(JSON.stringify([refused.events, error.message, error.hint])).not.toContain(token);
});

test("the token is read from the file that Hugging Face's clients write", async () => {
  const hub = await hubOf({ token: "hf_fromfile" });
  const directory = await temporaryDirectory();
  writeFileSync(join(directory, "token"), "hf_fromfile\n");
  await writeLock(await jobFor(hub, { HF_HOME: directory }), request());
  const none = await jobFor(hub, { HF_HOME: directory, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" });
  expect(await failureOf(writeLock(none, request()))).toMatchObject({
    code: "not_found",
    message:
      "hf://acme/tiny@main: the model does not exist or is private: Repository not found (401)",
    hint: "if it is private, set HF_TOKEN",
  });
});

test.each([
  [401, "GatedRepo", "denied"],
  [403, "GatedRepo", "denied"],
  [403, "", "denied"],
  [401, "RepoNotFound", "not_found"],
  [404, "RepoNotFound", "not_found"],
  [404, "RevisionNotFound", "not_found"],
  [418, "", "network"],
] as const)("%d %s ends as %s", async (status, code, kind) => {
  const hub = await hubOf({ refusal: { status, code } });
  expect((await failureOf(writeLock(await jobFor(hub), request()))).code).toBe(kind);
});

const file = (path: string, size: unknown = 1) => ({
  type: "file",
  path,
  size,
  oid: "0".repeat(40),
});

test.each([
  ["a name that leads out", [file("../x")], 'has "../x", which is not a path below the model'],
  ["an absolute name", [file("/etc/passwd")], 'has "/etc/passwd", which is not'],
  ["a name with a control character", [file("a\u001bb")], String.raw`has "a\u001bb", which is not`],
  ["a size that no file has", [file("x", 2 ** 60)], 'has "x" with an invalid type or size'],
  ["a name twice", [file("y"), file("y")], 'has "y" twice'],
  ["no type", [{ path: "z", size: 1 }], 'has "z" with an invalid type or size'],
])("a listing with %s is refused", async (_, extra, message) => {
  const hub = await hubOf({ extra });
  const job = await jobFor(hub);
  const error = await failureOf(writeLock(job, request()));
  expect(error.code).toBe("network");
  expect(error.message).toContain(`hf://acme/tiny@main: the hub's listing ${message}`);
  expect(() => readFileSync(join(job.cwd, "weights.lock"))).toThrow("ENOENT");
});

test("a listing that goes on at another host, or without an end, is refused", async () => {
  const other = await hubOf({ pageSize: 1, nextPage: "https://evil.example/api" });
  expect((await failureOf(writeLock(await jobFor(other), request()))).message).toBe(
    "hf://acme/tiny@main: the hub's listing continues on another host, evil.example",
  );
  const endless = await hubOf({ pageSize: 1, nextPage: "?recursive=true&expand=false" });
  expect((await failureOf(writeLock(await jobFor(endless), request()))).message).toBe(
    "hf://acme/tiny@main: the hub's listing does not end",
  );
});

test("names that differ in case alone are locked as those of a directory are", async () => {
  const hub = await hubOf({}, { "a.bin": "1", "A.bin": "2" });
  expect((await writeLock(await jobFor(hub), request())).files).toHaveLength(2);
});

test("what does not go together is said", async () => {
  const hub = await hubOf();
  const fails = async (path: string, more?: Partial<LockRequest>, env = {}) =>
    (await failureOf(writeLock(await jobFor(hub, env), request(path, more)))).message;
  expect(await fails("hf://acme/tiny/missing")).toContain("/missing does not exist");
  expect(await fails("hf://acme/tiny@v9")).toContain("the revision does not exist");
  expect(await fails("hf://datasets/acme/tiny")).toContain("is one of the datasets of a hub");
  expect(await fails("hf://acme")).toContain("404");
  expect(await fails("hf://acme/tiny/../x")).toContain("has a path that is not valid in a model");
  expect(await fails("hf://acme/tiny", { compression: "zstd" })).toContain("--compression zstd");
  expect(await fails("hf://acme/tiny", {}, { HF_ENDPOINT: "http://hub.example" })).toBe(
    'HF_ENDPOINT "http://hub.example" is plain HTTP',
  );
  expect(await fails("hf://acme/tiny", {}, { HF_TOKEN: "a\nb" })).not.toContain("a\nb");
});

test("a project file lists models and files of them", async () => {
  const hub = await hubOf();
  const job = await jobFor(hub);
  writeFileSync(
    join(job.cwd, "ocibundle.yaml"),
    `weights:
  - {name: all, source: {uri: "hf://acme/tiny", exclude: [original/]}, target: /m}
  - {name: one, source: "hf://acme/tiny/original/model.bin", target: /other/w.bin}
`,
  );
  const { files } = await writeLock(job, { ...request(), paths: [] });
  expect(files.map(({ name, dest }) => [name, dest])).toEqual([
    ["all/config", "/m/config.json"],
    ["all/model", "/m/model.safetensors"],
    ["one", "/other/w.bin"],
  ]);
});

test("many small files are locked", async () => {
  const files = Object.fromEntries(
    Array.from({ length: 300 }, (_, index) => [`f${index}.json`, `{"n":${index}}`]),
  );
  const hub = await hubOf({ pageSize: 100 }, files);
  expect((await writeLock(await jobFor(hub), request())).files).toHaveLength(300);
});
