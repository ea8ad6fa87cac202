import { describe, expect, test } from "bun:test";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { pushModel } from "../../../../src/model/jobs/push.ts";
import { signReference } from "../../../../src/model/jobs/sign.ts";
import { type ServeRequest, serveModels } from "../../../../src/model/serve/serve.ts";
import { afterwards } from "../../../support/afterwards.ts";
import { pushOfNothing } from "../../../support/model/push.ts";
import { type Job, jobIn, lock } from "../../../support/model/job.ts";
import {
  type Meddle,
  type RecordingRegistry,
  recordingRegistry,
} from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory, writeFiles } from "../../../support/temporary-directory.ts";
import {
  blobRequests,
  hashed,
  received,
  startServing,
  url,
} from "../../../support/model/serving.ts";

/** Too large to be hashed in one piece, and fetched in several ranges. */
const largeBytes = 24 * 1024 * 1024;

interface Setting {
  job: Job;
  registry: RecordingRegistry;
  endpoint: string;
  /** Changes the files, and pushes them under the tag again. */
  push(files: Record<string, string | Uint8Array>): Promise<void>;
  stop(): Promise<number | undefined>;
}

async function serving(
  files: Record<string, string | Uint8Array>,
  request: Partial<ServeRequest> = {},
  compression: "none" | "gzip" = "none",
  config?: string,
): Promise<Setting> {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  const push = async (changed: Record<string, string | Uint8Array>): Promise<void> => {
    await writeFiles(join(job.cwd, "weights"), changed);
    await lock(job, compression);
    await pushModel(job, {
      reference: `${registry.host}/acme/tiny:latest`,
      ...pushOfNothing,
      weights: ["weights"],
    });
    await rm(join(job.cwd, ".cache", "blobs"), { recursive: true, force: true });
    registry.seen.length = 0;
  };
  await push(files);
  if (config !== undefined) {
    job.flags.config = join(job.cwd, "config.yaml");
    await writeFiles(job.cwd, { "config.yaml": config });
  }
  const { endpoint, stop } = await startServing(job, registry, request);
  return { job, registry, endpoint, push, stop };
}

/** Lets the registry send other bytes for blobs of this size, so often. */
const corrupting =
  (size: number, times: { left: number }): Meddle =>
  async (request, next) => {
    const answer = await next(request);
    if (request.method !== "GET" || !request.url.includes("/blobs/") || times.left <= 0)
      return answer;
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if (bytes.length > 1000 && size > 1000) {
      times.left -= 1;
      bytes[500] = (bytes[500] ?? 0) ^ 1;
    }
    return new Response(bytes, answer);
  };

describe("a file that is not in the cache", () => {
  test("is fetched once for eight clients that ask for eight files at once", async () => {
    const files = Object.fromEntries(
      Array.from({ length: 8 }, (_, index) => [
        `${index}.bin`,
        new Uint8Array(randomBytes(index < 3 ? largeBytes + index : 300_000 + index)),
      ]),
    );
    const { registry, endpoint } = await serving(files);
    let answered = 0;
    registry.meddle(async (request, next) => {
      const answer = await next(request);
      const isBlob = request.method === "GET" && request.url.includes("/blobs/");
      if (isBlob) answered += Number(answer.headers.get("content-length"));
      return answer;
    });
    const clients = Array.from({ length: 8 }, async () => {
      const names = Object.keys(files);
      return Promise.all(
        names.map(async (name) => hashed(await (await fetch(url(endpoint, name))).bytes())),
      );
    });
    const right = Object.values(files).map(hashed);
    for (const hashes of await Promise.all(clients)) expect(hashes).toEqual(right);
    const asked = Map.groupBy(blobRequests(registry), (path) => path);
    expect(asked.size).toBe(8);
    // The large ones come in ranges, no byte of them twice.
    const bytes = Object.values(files).reduce((sum, file) => sum + file.byteLength, 0);
    expect(answered).toBe(bytes);
    expect(await (await fetch(`${endpoint}/metrics`)).text()).toContain(
      `sent_bytes_total{source="registry"} ${8 * bytes}`,
    );
  });

  test("is the same for those who come later, from the disk and from memory", async () => {
    // Large enough to be written past the page cache, so that it has yet to be read from the disk.
    const content = new Uint8Array(randomBytes(40 * 1024 * 1024 + 5));
    const { registry, endpoint } = await serving({ "model.bin": content });
    const get = async (range?: string): Promise<string> => {
      const headers = range === undefined ? {} : { range: `bytes=${range}` };
      return hashed(await (await fetch(url(endpoint, "model.bin"), { headers })).bytes());
    };
    expect(await get()).toBe(hashed(content));
    registry.seen.length = 0;
    const start = 3_000_001;
    expect(await get(`${start}-`)).toBe(hashed(content.subarray(start)));
    for (let client = 0; client < 2; client += 1) expect(await get()).toBe(hashed(content));
    expect(blobRequests(registry)).toEqual([]);
  });

  test("is decompressed while it arrives, any range of it", async () => {
    const original = Buffer.from(randomBytes(largeBytes / 8).toString("hex"));
    const { endpoint, registry } = await serving({ "a.bin": original }, {}, "gzip");
    const headers = { range: `bytes=1000-${original.length - 2}` };
    const [whole, part] = await Promise.all([
      fetch(url(endpoint, "a.bin")).then((answer) => answer.bytes()),
      fetch(url(endpoint, "a.bin"), { headers }).then((answer) => answer.bytes()),
    ]);
    expect(hashed(whole)).toBe(hashed(original));
    expect(hashed(part)).toBe(hashed(original.subarray(1000, -1)));
    expect(new Set(blobRequests(registry)).size).toBe(1);
  });

  test("has its header looked at without being fetched", async () => {
    const file = new Uint8Array(randomBytes(largeBytes));
    const { endpoint, registry, job } = await serving({ "a.bin": file });
    const answer = await fetch(url(endpoint, "a.bin"), { headers: { range: "bytes=0-99" } });
    expect(answer.status).toBe(206);
    expect(answer.headers.get("content-range")).toBe(`bytes 0-99/${largeBytes}`);
    expect(await answer.bytes()).toEqual(file.subarray(0, 100));
    expect(blobRequests(registry)).toHaveLength(1);
    expect(existsSync(join(job.cwd, ".cache", "blobs", "sha256", hashed(file)))).toBe(false);
  });

  test.each([400, 416])(
    "is looked into where the registry answers a range with %d",
    async (status) => {
      const file = new Uint8Array(randomBytes(largeBytes));
      const { endpoint, registry } = await serving({ "a.bin": file });
      registry.meddle((request, next) =>
        request.headers.get("range") === null ? next(request) : new Response(null, { status }),
      );
      const headers = { range: "bytes=5000000-5000099" };
      const answer = await fetch(url(endpoint, "a.bin"), { headers });
      expect(answer.status).toBe(206);
      expect(await answer.bytes()).toEqual(file.subarray(5_000_000, 5_000_100));
    },
  );

  test("is never sent whole where its bytes are wrong", async () => {
    const file = new Uint8Array(randomBytes(largeBytes));
    const { endpoint, registry, job, stop } = await serving({ "a.bin": file });
    const times = { left: Number.POSITIVE_INFINITY };
    registry.meddle(corrupting(largeBytes, times));
    const answers = await Promise.all([
      fetch(url(endpoint, "a.bin")),
      fetch(url(endpoint, "a.bin"), { headers: { range: `bytes=10-${largeBytes / 2}` } }),
    ]);
    for (const { bytes, whole } of await Promise.all(answers.map(received))) {
      expect(whole).toBe(false);
      expect(bytes).toBeLessThan(largeBytes);
    }
    expect(existsSync(join(job.cwd, ".cache", "blobs", "sha256", hashed(file)))).toBe(false);
    // Who asks again is told why.
    const again = await fetch(url(endpoint, "a.bin"));
    expect(again.status).toBe(502);
    expect(again.headers.get("x-error-message")).toContain("does not match digest");
    // When the registry has the right bytes again, it is sent whole, also to who wants only the rest, and by the next
    // server of the cache.
    times.left = 0;
    await stop();
    const next = await startServing(job, registry);
    let right = again;
    while (right.status === 502) {
      right = await fetch(url(next.endpoint, "a.bin"), { headers: { range: "bytes=1000-" } });
    }
    expect(right.status).toBe(200);
    expect(hashed(await right.bytes())).toBe(hashed(file));
  });

  test("is verified before its end is sent, also to who asks for no more than that", async () => {
    const file = new Uint8Array(randomBytes(largeBytes));
    const { endpoint, registry } = await serving({ "a.bin": file });
    registry.meddle(corrupting(largeBytes, { left: Number.POSITIVE_INFINITY }));
    const headers = { range: `bytes=${largeBytes - 100}-` };
    const answer = await fetch(url(endpoint, "a.bin"), { headers });
    const { bytes, whole } = await received(answer);
    expect({ sent: answer.status === 206 && whole, all: bytes === 100 }).toEqual({
      sent: false,
      all: false,
    });
  });

  test("does not wait for the connections of files that stand still", async () => {
    const names = Array.from({ length: 9 }, (_, index) => `${index}.bin`);
    const files = Object.fromEntries(
      names.map((name) => [name, new Uint8Array(randomBytes(4 * 1024 * 1024 + 1))]),
    );
    const { endpoint, registry } = await serving(files);
    const last = hashed(files["8.bin"] ?? new Uint8Array());
    const released = Promise.withResolvers<void>();
    registry.meddle(async (request, next) => {
      const isBlob = request.method === "GET" && request.url.includes("/blobs/");
      if (isBlob && !request.url.endsWith(last)) await released.promise;
      return next(request);
    });
    const stuck = names.slice(0, 8).map(async (name) => {
      return hashed(await (await fetch(url(endpoint, name))).bytes());
    });
    while (blobRequests(registry).length < 8)
      await new Promise((resolve) => setTimeout(resolve, 5));
    const answer = await fetch(url(endpoint, "8.bin"));
    expect(hashed(await answer.bytes())).toBe(last);
    released.resolve();
    expect(await Promise.all(stuck)).toEqual(
      names.slice(0, 8).map((name) => hashed(files[name] ?? new Uint8Array())),
    );
  });

  test("is gone on with where the registry goes away half-way and comes back", async () => {
    const file = new Uint8Array(randomBytes(largeBytes));
    const { endpoint, registry } = await serving({ "a.bin": file });
    let left = 3;
    registry.meddle(async (request, next) => {
      const answer = await next(request);
      if (!request.url.includes("/blobs/") || left-- <= 0) return answer;
      const bytes = new Uint8Array(await answer.arrayBuffer());
      const half = bytes.subarray(0, bytes.length / 2);
      return new Response(half, { status: answer.status, headers: rangeHeaders(answer) });
    });
    const answer = await fetch(url(endpoint, "a.bin"));
    expect(hashed(await answer.bytes())).toBe(hashed(file));
    expect(left).toBeLessThanOrEqual(0);
  });

  test("is fetched into a cache whose directory was removed meanwhile", async () => {
    const { endpoint, job } = await serving({ "a.txt": "one", "b.txt": "two" });
    /** A fetch that the removal met fails, and its failure is the answer for two seconds. */
    const text = async (path: string): Promise<string> => {
      const answer = await fetch(url(endpoint, path));
      if (answer.ok) return await answer.text();
      await answer.body?.cancel();
      await Bun.sleep(50);
      return text(path);
    };
    expect(await text("a.txt")).toBe("one");
    await rm(join(job.cwd, ".cache"), { recursive: true, force: true });
    expect(await text("b.txt")).toBe("two");
    expect(await text("a.txt")).toBe("one");
  });

  test("is the registry's fault where it does not have it", async () => {
    const { endpoint, registry } = await serving({ "a.bin": "content" });
    registry.meddle((request, next) =>
      request.url.includes("/blobs/") ? new Response(null, { status: 404 }) : next(request),
    );
    const answer = await fetch(url(endpoint, "a.bin"));
    expect([answer.status, answer.headers.get("x-error-code")]).toEqual([502, null]);
    expect(answer.headers.get("x-error-message")).toContain("404");
  });

  test("comes from another repository that has it, right after one that lacks it", async () => {
    const { endpoint, registry, job } = await serving({ "a.bin": "content" });
    await pushModel(job, {
      reference: `${registry.host}/acme/other:latest`,
      ...pushOfNothing,
      weights: ["weights"],
    });
    await rm(join(job.cwd, ".cache", "blobs"), { recursive: true, force: true });
    registry.meddle((request, next) =>
      request.url.includes("/acme/tiny/blobs/")
        ? new Response(null, { status: 404 })
        : next(request),
    );
    expect((await fetch(url(endpoint, "a.bin"))).status).toBe(502);
    const answer = await fetch(`${endpoint}/acme/other/resolve/main/a.bin`);
    expect([answer.status, await answer.text()]).toEqual([200, "content"]);
  });
});

const rangeHeaders = ({ headers }: Response): Record<string, string> => {
  const range = headers.get("content-range");
  return range === null ? {} : { "content-range": range };
};

test("a model without the tag that is main is told of once, with its tags", async () => {
  const { endpoint, job } = await serving({ "a.txt": "one" }, { tag: "v1", refresh: 60_000 });
  for (const file of ["a.txt", "b.txt"]) {
    const answer = await fetch(url(endpoint, file));
    expect([answer.status, answer.headers.get("x-error-code")]).toEqual([404, "RevisionNotFound"]);
  }
  expect(job.warnings()).toEqual([
    expect.stringMatching(
      /^acme\/tiny: .*"v1" not found.*; its tags are latest; .*--tag or --map$/,
    ),
  ]);
  expect((await fetch(url(endpoint, "a.txt", "v2"))).status).toBe(404);
  expect(job.warnings()).toHaveLength(1);
});

describe("a tag that moves", () => {
  test("gives a client that asked before the file that it was told of", async () => {
    const { endpoint, push } = await serving({ "a.txt": "one" });
    const head = await fetch(url(endpoint, "a.txt"), { method: "HEAD", redirect: "manual" });
    expect(head.status).toBe(307);
    await push({ "a.txt": "two" });
    expect(await (await fetch(url(endpoint, "a.txt"))).text()).toBe("two");
    const before = new URL(head.headers.get("location") ?? "", endpoint);
    expect(await (await fetch(before)).text()).toBe("one");
  });

  test("is what it was while the registry does not answer", async () => {
    const { endpoint, registry, job } = await serving({ "a.txt": "one" });
    expect(await (await fetch(url(endpoint, "a.txt"))).text()).toBe("one");
    registry.meddle(() => new Response(null, { status: 400 }));
    expect(await (await fetch(url(endpoint, "a.txt"))).text()).toBe("one");
    expect(job.warnings().join("\n")).toContain("the previous revision of");
  });

  test("leaves commits of before to another server with the same cache", async () => {
    const { endpoint, push, job, registry, stop } = await serving({ "a.txt": "one" });
    const head = await fetch(url(endpoint, "a.txt"), { method: "HEAD" });
    const commit = head.headers.get("x-repo-commit") ?? "";
    await push({ "a.txt": "two" });
    await stop();
    const second = Promise.withResolvers<string>();
    const stopping = new AbortController();
    const map = [`x/y=${registry.host}/acme/tiny:latest`];
    const request = {
      map,
      registry: undefined,
      tag: undefined,
      listen: ":0",
      tokenFile: undefined,
    };
    const more = { anonymous: false, hostNames: [], refresh: 0, offline: false, root: undefined };
    const served = serveModels(
      { ...job, signal: stopping.signal },
      { ...request, ...more, useCache: true, list: false, command: [] },
      (report) => second.resolve(report.endpoint),
    );
    afterwards(() => served);
    afterwards(async () => stopping.abort());
    const answer = await fetch(`${await second.promise}/x/y/resolve/${commit}/a.txt`);
    expect(await answer.text()).toBe("one");
  });
});

test("what the configuration wants signed is served only when it is", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const config = 'registries: { "*": { verify: { key: "env://PUBLIC_KEY" } } }';
  const { job, registry, endpoint, push } = await serving({ "a.bin": "first" }, {}, "none", config);
  Object.assign(job.env, {
    PUBLIC_KEY: publicKey.export({ type: "spki", format: "pem" }),
    PRIVATE_KEY: privateKey.export({ type: "pkcs8", format: "pem" }),
  });
  const sign = () =>
    signReference(job, {
      reference: `${registry.host}/acme/tiny:latest`,
      key: "env://PRIVATE_KEY",
      password: () => Promise.reject(new Error("asked for a password")),
      formats: ["bundle"],
      recursive: false,
    });
  const refused = await fetch(url(endpoint, "a.bin"));
  expect(refused.status).toBe(502);
  expect(await refused.text()).toContain("no signature of");
  expect(blobRequests(registry)).toEqual([]);
  await sign();
  expect(await (await fetch(url(endpoint, "a.bin"))).text()).toBe("first");
  await push({ "a.bin": "second" });
  expect((await fetch(url(endpoint, "a.bin"))).status).toBe(502);
  await sign();
  expect(await (await fetch(url(endpoint, "a.bin"))).text()).toBe("second");
});
