import { describe, expect, test } from "bun:test";
import { readdir, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { pullWeights } from "../../../../src/model/pull/pull.ts";
import type { ServeRequest } from "../../../../src/model/serve/serve.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import {
  contentOf,
  noise,
  putParts,
  putPlain,
  type PutOptions,
  type TestFile,
} from "../../../support/model/parts-artifact.ts";
import { type Job, jobIn } from "../../../support/model/job.ts";
import { recordingRegistry } from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import {
  blobRequests,
  hashed,
  received,
  startServing,
  url,
} from "../../../support/model/serving.ts";

const header = noise(3000, 1);
const pool = noise(40_000, 3);
const first = noise(9_000_000, 2);
const second = noise(9_000_000, 4);

/** A file that is large enough to be looked into, with pieces of a pool between its larger parts. */
const model: TestFile = {
  name: "model.safetensors",
  pieces: [
    header,
    { part: pool, start: 0, end: 10_000 },
    first,
    { part: pool, start: 10_000, end: 40_000 },
    second,
  ],
};
const content = contentOf(model);

async function serving(
  files: readonly TestFile[] = [model],
  options: PutOptions = {},
  request: Partial<ServeRequest> = {},
) {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  await putParts(registry, "acme/tiny", files, { tag: "latest", ...options });
  registry.seen.length = 0;
  return { registry, job, ...(await startServing(job, registry, request)) };
}

const pull = ({ job, registry }: { job: Job; registry: { host: string } }) =>
  pullWeights(job, {
    source: `${registry.host}/acme/tiny:latest`,
    output: join(job.cwd, "out"),
    only: [],
    force: false,
    useCache: true,
  });

const part = (file: string, endpoint: string, range: string): Promise<Response> =>
  fetch(url(endpoint, file), { headers: { range } });

/** What the cache has of files by the digests of their parts, and by their own. */
const namesIn = async ({ cwd }: Job): Promise<string[]> => {
  const all = await readdir(join(cwd, ".cache"), { recursive: true });
  return all.filter((path) => /(?:^|\/)blobs\/sha256\/[0-9a-f]{64}$/.test(path));
};

describe("a file in parts", () => {
  test.each([400, 416])(
    "is looked into where the registry answers a range with %d",
    async (status) => {
      const { endpoint, registry } = await serving();
      registry.meddle((request, next) =>
        request.headers.get("range") === null ? next(request) : new Response(null, { status }),
      );
      // Out of two parts, and of the pool between them.
      const start = header.byteLength + 5000;
      const end = content.byteLength - 8_999_000;
      const small = await part(model.name, endpoint, `bytes=${start}-${start + 99}`);
      expect(small.status).toBe(206);
      expect(hashed(await small.bytes())).toBe(hashed(content.subarray(start, start + 100)));
      const over = await part(model.name, endpoint, `bytes=${end - 60_000}-${end - 1}`);
      expect(over.status).toBe(206);
      expect(hashed(await over.bytes())).toBe(hashed(content.subarray(end - 60_000, end)));
    },
  );

  for (const packed of [[], [header, first]]) {
    const how = packed.length === 0 ? "as it is" : "in another form";
    test(`is listed whole, and fetched once for all clients where a part is stored ${how}`, async () => {
      const { endpoint, registry } = await serving([model], { packed });
      const head = await fetch(url(endpoint, model.name), { method: "HEAD" });
      expect(head.headers.get("etag")).toBe(`"${hashed(content)}"`);
      expect(head.headers.get("content-length")).toBe(String(content.byteLength));
      expect(blobRequests(registry).length).toBeLessThanOrEqual(1);
      registry.seen.length = 0;
      const answers = await Promise.all([
        fetch(url(endpoint, model.name)),
        fetch(url(endpoint, model.name)),
        part(model.name, endpoint, `bytes=1-${content.byteLength - 2}`),
      ]);
      const [one, two, range] = await Promise.all(answers.map((answer) => answer.bytes()));
      expect(hashed(one ?? header)).toBe(hashed(content));
      expect(hashed(two ?? header)).toBe(hashed(content));
      expect(hashed(range ?? header)).toBe(hashed(content.subarray(1, -1)));
      // Each part was asked for: none as often as there are clients, but for the ranges of the large ones.
      const asked = Map.groupBy(blobRequests(registry), (path) => path);
      expect(asked.size).toBe(4);
      for (const small of [header, pool]) {
        const ofIt = [...asked].filter(([path]) => path.endsWith(digestOf(small)));
        for (const [, requests] of ofIt) expect(requests).toHaveLength(1);
      }
    });
  }

  test("has its header looked at out of the parts that hold it", async () => {
    const { endpoint, registry, job } = await serving([model], { packed: [header] });
    const answer = await part(model.name, endpoint, "bytes=0-19999");
    expect(answer.status).toBe(206);
    expect(hashed(await answer.bytes())).toBe(hashed(content.subarray(0, 20_000)));
    // The recipe, and three parts.
    expect(new Set(blobRequests(registry)).size).toBe(4);
    expect(blobRequests(registry).filter((path) => path.endsWith(digestOf(second)))).toEqual([]);
    expect((await namesIn(job)).filter((path) => path.includes("assembled"))).toEqual([]);
  });

  test("is neither sent whole nor looked at where a part is wrong", async () => {
    const { endpoint, registry } = await serving();
    const damaged = digestOf(second);
    registry.meddle(async (request, next) => {
      const answer = await next(request);
      const isDamaged = request.url.includes(damaged) || request.url.includes(digestOf(header));
      if (request.method !== "GET" || !isDamaged) return answer;
      const bytes = new Uint8Array(await answer.arrayBuffer());
      bytes[100] = (bytes[100] ?? 0) ^ 1;
      return new Response(bytes, answer);
    });
    const glance = await part(model.name, endpoint, "bytes=0-9999").then(received, () => undefined);
    expect(glance?.whole ?? false).toBe(false);
    const { whole, bytes } = await received(await fetch(url(endpoint, model.name))).catch(() => ({
      whole: false,
      bytes: 0,
    }));
    expect(whole).toBe(false);
    expect(bytes).toBeLessThan(3000);
  });

  test("is never sent whole where its recipe lies, also after a pull", async () => {
    const honest = { ...model, name: "honest.safetensors" };
    const lying = { ...model, claim: digestOf("something else") };
    const { endpoint, registry, job } = await serving([lying, honest]);
    // The parts are right: ranges within them are.
    const range = await part(lying.name, endpoint, "bytes=5-99");
    expect(hashed(await range.bytes())).toBe(hashed(content.subarray(5, 100)));
    const sent = await received(await fetch(url(endpoint, lying.name)));
    expect(sent.whole).toBe(false);
    expect(sent.bytes).toBeLessThan(content.byteLength);
    expect((await namesIn(job)).join("\n")).not.toContain(lying.claim.slice(7));
    await pull({ job, registry });
    const after = await startServing(job, registry);
    const again = await received(await fetch(url(after.endpoint, lying.name)));
    expect(again.whole).toBe(false);
    const right = await fetch(url(after.endpoint, honest.name));
    expect(hashed(await right.bytes())).toBe(hashed(content));
  });

  test("comes from the cache after a pull, and without the registry", async () => {
    const { registry, job, endpoint } = await serving();
    await (await fetch(`${endpoint}/api/models/acme/tiny`)).text();
    await pull({ job, registry });
    registry.seen.length = 0;
    const offline = await startServing(job, registry, { offline: true });
    for (const at of [endpoint, offline.endpoint]) {
      expect(hashed(await (await fetch(url(at, model.name))).bytes())).toBe(hashed(content));
      const metrics = await (await fetch(`${at}/metrics`)).text();
      expect(metrics).toContain(`sent_bytes_total{source="cache"} ${content.byteLength}`);
    }
    expect(blobRequests(registry)).toEqual([]);
  });

  test("counts as used each time that it is sent", async () => {
    const { job, endpoint } = await serving([{ ...model, pieces: [header, pool] }]);
    const send = async () => (await fetch(url(endpoint, model.name))).bytes();
    await send();
    const cache = join(job.cwd, ".cache");
    const recordOf = async () =>
      (await readdir(cache, { recursive: true })).find((path) =>
        /assembled\/records\/blobs\/./.test(path),
      );
    let record: string | undefined;
    // It gets its name after the last byte is sent, and its use is noted beside the answer.
    while (record === undefined) record = await recordOf();
    const path = join(cache, record);
    await utimes(path, 1000, 1000);
    while ((await stat(path)).mtimeMs <= 1_000_000) await send();
  });

  test("of a later version is made from what the first one brought", async () => {
    const { registry, endpoint } = await serving();
    await (await fetch(url(endpoint, model.name))).bytes();
    const next = { ...model, pieces: [header, first, noise(200_000, 9)] };
    await putParts(registry, "acme/tiny", [next], { tag: "latest" });
    registry.seen.length = 0;
    const bytes = await (await fetch(url(endpoint, model.name))).bytes();
    expect(hashed(bytes)).toBe(hashed(contentOf(next)));
    // The recipe, and the part that is new.
    expect(new Set(blobRequests(registry)).size).toBe(2);
  });
});

describe("a plain file with a recipe", () => {
  const next: TestFile = { ...model, pieces: [...model.pieces.slice(0, 4), noise(500_000, 9)] };

  test("is made from what the version before brought, and of ranges of the blob", async () => {
    const { registry, endpoint, job } = await serving();
    await putPlain(registry, "acme/tiny", model, { tag: "latest" });
    await (await fetch(url(endpoint, model.name))).bytes();
    await putPlain(registry, "acme/tiny", next, { tag: "latest" });
    let asked = 0;
    registry.meddle(async (request, handle) => {
      const answer = await handle(request);
      if (request.method !== "GET" || !/blobs/.test(request.url)) return answer;
      asked += Number(answer.headers.get("content-length") ?? 0);
      return answer;
    });
    const bytes = await (await fetch(url(endpoint, model.name))).bytes();
    expect(hashed(bytes)).toBe(hashed(contentOf(next)));
    expect(asked).toBeLessThan(600_000);
    // It is in the cache under its own digest.
    const known = hashed(contentOf(next));
    while (!(await namesIn(job)).some((path) => path.endsWith(known))) await Bun.sleep(5);
  });

  test("is not sent whole where its recipe makes another file than the blob", async () => {
    const { registry, endpoint } = await serving();
    await (await fetch(url(endpoint, model.name))).bytes();
    const blob: TestFile = { ...model, pieces: [noise(content.byteLength, 8)] };
    const parts = [header, pool, first, second].map((one) => [digestOf(one), one.byteLength]);
    const segments = [
      [0, 0, 3000],
      [1, 0, 10_000],
      [2, 0, 9_000_000],
      [1, 10_000, 30_000],
      [3, 0, 9_000_000],
    ];
    await putPlain(registry, "acme/tiny", blob, {
      tag: "latest",
      recipe: ({ files, ...rest }) => ({
        ...rest,
        parts,
        files: (files as object[]).map((file) => ({ ...file, segments })),
      }),
    });
    const sent = await received(await fetch(url(endpoint, model.name))).catch(() => ({
      whole: false,
    }));
    expect(sent.whole).toBe(false);
  });
});
