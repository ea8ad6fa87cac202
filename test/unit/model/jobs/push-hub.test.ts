import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { buildModel } from "../../../../src/model/jobs/build.ts";
import { type PushRequest, pushModel } from "../../../../src/model/jobs/push.ts";
import { writeLock } from "../../../../src/model/lock/lock.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { afterwards } from "../../../support/afterwards.ts";
import { type HubSwitches, startHub } from "../../../support/sources/hub.ts";
import { pattern, pushOfNothing } from "../../../support/model/push.ts";
import { jobIn } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import {
  type RecordingRegistry,
  recordingRegistry,
} from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory, writeFiles } from "../../../support/temporary-directory.ts";

const large = pattern(11_000_000, 1);
const model = {
  "config.json": `{"hidden_size": 8}`,
  "a.safetensors": large,
  "b.safetensors": pattern(2000, 2),
};

async function bench(switches: HubSwitches = {}, files: Parameters<typeof startHub>[0] = model) {
  const hub = await startHub(files, switches);
  afterwards(() => hub.close());
  const registry = await recordingRegistry();
  const directory = await temporaryDirectory();
  const job = (env: Record<string, string> = {}) =>
    jobIn(directory, { HF_ENDPOINT: hub.endpoint, ...env });
  const push = (tag: string, request: Partial<PushRequest> = {}) =>
    pushModel(job(), {
      ...pushOfNothing,
      reference: `${registry.host}/acme/${tag}`,
      paths: ["hf://acme/tiny"],
      ...request,
    });
  return { hub, registry, directory, job, push };
}

const stored = async (registry: RecordingRegistry, digest: string, repository = "acme/m") => {
  const answer = await registry.ask(`/v2/${repository}/blobs/${digest}`);
  return answer.ok ? digestOf(new Uint8Array(await answer.arrayBuffer())) : undefined;
};

test("a model goes from the hub to the registry, and no byte of it to this disk", async () => {
  const { hub, registry, directory, push } = await bench();
  const report = await push("m:v1");
  expect(report.model.weights?.files).toHaveLength(3);
  expect(await stored(registry, digestOf(large))).toBe(digestOf(large));
  const written = readdirSync(directory, { recursive: true, encoding: "utf8" });
  const sizes = written.map((name) => statSync(join(directory, name)).size);
  expect(Math.max(...sizes)).toBeLessThan(100_000);
  expect(
    hub.seen.filter(({ at, path }) => at === "hub" && path.includes("a.safetensors")),
  ).toHaveLength(1);
  const ranges = hub.seen.filter(
    ({ at, path }) => at === "storage" && path.includes("a.safetensors"),
  );
  expect(ranges.map(({ range }) => range).toSorted()).toEqual([
    "bytes=0-4194303",
    "bytes=4194304-8388607",
    "bytes=8388608-10999999",
  ]);
  const lock = JSON.parse(readFileSync(join(directory, "weights.lock"), "utf8"));
  expect(lock.files[0].source).toBe(`hf://acme/tiny@${hub.commit}/a.safetensors`);
});

test("a push of the hub and one of the downloaded directory give one digest", async () => {
  const { directory, push, registry } = await bench({ lfsFrom: 10 });
  await writeFiles(join(directory, "weights"), model);
  const remote = await push("m:v1", { writeLock: false });
  const job = jobIn(directory);
  await writeLock(job, {
    paths: ["weights"],
    dest: undefined,
    output: "local.lock",
    compression: "none",
  });
  const local = await pushModel(job, {
    ...pushOfNothing,
    reference: `${registry.host}/acme/m:v2`,
    weights: ["weights"],
    lock: "local.lock",
  });
  expect(local.model.digest).toBe(remote.model.digest);
});

test("what the registry has is not fetched again, nor for another repository of it", async () => {
  const { hub, registry, push } = await bench();
  await push("m:v1");
  hub.seen.length = 0;
  registry.done.length = 0;
  await push("m:v2");
  await push("other:v1", { paths: [`hf://acme/tiny@${hub.commit}`] });
  expect(hub.seen.filter(({ path }) => !path.startsWith("/api/"))).toEqual([]);
  expect(registry.done.filter((line) => /^(?:PATCH|PUT acme\/other\/blobs)/.test(line))).toEqual(
    [],
  );
  expect(await stored(registry, digestOf(large), "acme/other")).toBe(digestOf(large));
});

test("an interrupted push is resumed, and ends with the right bytes", async () => {
  const { hub, registry, job } = await bench({}, { "a.bin": pattern(40_000_000, 3) });
  const stop = new AbortController();
  const running = { ...job(), signal: stop.signal };
  const request = {
    ...pushOfNothing,
    reference: `${registry.host}/acme/m:v1`,
    paths: ["hf://acme/tiny"],
  };
  const stopEarly = ({ emit }: typeof running): typeof running => ({
    ...running,
    emit(event) {
      emit(event);
      if (hub.seen.filter(({ at }) => at === "storage").length > 4)
        stop.abort(new Error("stopped"));
    },
  });
  const interrupted: unknown = await pushModel(stopEarly(running), request).catch(
    (error: unknown) => error,
  );
  expect(interrupted).toBeInstanceOf(Error);
  expect((await registry.ask("/v2/acme/m/manifests/v1")).status).toBe(404);
  await pushModel(job(), request);
  const digest = digestOf(pattern(40_000_000, 3));
  expect(await stored(registry, digest)).toBe(digest);
});

test("a dry run says what would be sent, and fetches no weight", async () => {
  const { hub, push, directory } = await bench();
  const report = await push("m:v1", { dryRun: true });
  expect(report.action).toBe("would-push");
  expect(hub.seen.filter(({ at }) => at === "storage")).toEqual([]);
  expect(existsSync(join(directory, "weights.lock"))).toBe(false);
});

test("a hub whose files changed stops a push, and its revision alone does not", async () => {
  const { hub, push, directory } = await bench();
  await push("m:v1");
  const before = readFileSync(join(directory, "weights.lock"), "utf8");
  hub.files.set(".gitattributes", Buffer.from("*"));
  await push("m:v2");
  expect(readFileSync(join(directory, "weights.lock"), "utf8")).toBe(before);
  hub.files.set("b.safetensors", pattern(2000, 9));
  const error = await failureOf(push("m:v3"));
  expect(error.code).toBe("integrity");
  expect(error.message).toContain('weights.lock does not match "hf://acme/tiny": changed "b"');
  await push("m:v3", { updateLock: true });
});

test.each<[string, HubSwitches]>([
  ["signed URLs that end", { uses: 2 }],
  ["answers that break off", { breakAfter: 3_000_000 }],
  ["a storage without ranges", { wholeFiles: true }],
  ["a hub that sends the bytes itself", { ownStorage: true }],
  ["a renamed model", { formerName: "acme/tiny-old" }],
])("a push gets over %s", async (_, switches) => {
  const { registry, push } = await bench(switches);
  const name = switches.formerName ?? "acme/tiny";
  await push("m:v1", { paths: [`hf://${name}`] });
  expect(await stored(registry, digestOf(large))).toBe(digestOf(large));
});

test("other bytes than the hub lists are refused, and nothing is tagged", async () => {
  const { hub, registry, push } = await bench({ wrong: ["a.safetensors"] });
  const error = await failureOf(push("m:v1"));
  expect(error.code).toBe("integrity");
  expect(error.hint).toContain("sent content that differs from its listing");
  expect((await registry.ask("/v2/acme/m/manifests/v1")).status).toBe(404);
  expect(await stored(registry, digestOf(large))).toBeUndefined();
  hub.switches.wrong = [];
  await push("m:v1");
  expect(await stored(registry, digestOf(large))).toBe(digestOf(large));
});

test("a file that is listed and is not there is refused", async () => {
  const { hub, registry, push } = await bench();
  await push("m:v0", { paths: ["hf://acme/tiny/config.json"], writeLock: false });
  hub.switches.extra = [
    {
      type: "file",
      path: "c.bin",
      size: 7,
      oid: "0".repeat(40),
      lfs: { oid: "1".repeat(64), size: 7 },
    },
  ];
  const error = await failureOf(push("m:v1"));
  expect(error.code).toBe("not_found");
  expect((await registry.ask("/v2/acme/m/manifests/v1")).status).toBe(404);
});

test("the token stays at the hub's origin", async () => {
  const token = "hf_secretsecretsecretsecretsecretsecret";
  const { hub, job, registry } = await bench({ token });
  const running = job({ HF_TOKEN: token });
  await pushModel(running, {
    ...pushOfNothing,
    reference: `${registry.host}/acme/m:v1`,
    paths: ["hf://acme/tiny"],
  });
  for (const { at, authorization } of hub.seen) {
    expect(authorization).toBe(at === "hub" ? `Bearer ${token}` : undefined);
  }
  expect(JSON.stringify(running.events)).not.toContain(token);
  expect(JSON.stringify(running.events)).not.toContain("signature=");
});

test.each(["modelpack", "cog", "image"])(
  "a model goes from the hub into the layout %s",
  async (layout) => {
    const { push } = await bench();
    const report = await push("m:v1", { layout, writeLock: false });
    expect(report.model.digest).toMatch(/^sha256:/);
  },
);

test("build writes the model of a lock from the hub", async () => {
  const { job, push, directory } = await bench();
  const pushed = await push("m:v1");
  const built = await buildModel(job(), {
    ...pushOfNothing,
    weights: ["hf://acme/tiny"],
    reference: undefined,
    output: "oci:out:v1",
  });
  expect(built.model.digest).toBe(pushed.model.digest);
  rmSync(join(directory, "out"), { recursive: true });
});
