import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { chmod, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { listCache, pruneUnused, verifyCache } from "../../../../src/model/jobs/cache.ts";
import { copyModel } from "../../../../src/model/jobs/copy.ts";
import { diffModels } from "../../../../src/model/jobs/diff.ts";
import { inspectTensors } from "../../../../src/model/jobs/inspect-tensors.ts";
import { inspectSource } from "../../../../src/model/jobs/inspect.ts";
import { verifySource } from "../../../../src/model/jobs/verify.ts";
import { pullWeights } from "../../../../src/model/pull/pull.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import {
  type Bytes,
  contentOf,
  noise,
  putParts,
  putPlain,
  type PutOptions,
  type TestFile,
} from "../../../support/model/parts-artifact.ts";
import { type Job, jobIn } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import { recordingRegistry } from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory, writeFiles } from "../../../support/temporary-directory.ts";

const repository = "acme/model";

interface TestRecipeFile {
  size: number;
  segments: [number, number, number][];
}

async function bench() {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  const at = (output: string) => join(job.cwd, output);
  return {
    registry,
    job,
    at,
    put: (files: readonly TestFile[], options: PutOptions = {}) =>
      putParts(registry, repository, files, options),
    pull: (
      options: Partial<Parameters<typeof pullWeights>[1]> & { tag?: string; job?: Job } = {},
    ) => {
      const { tag = "v1", job: by = job, output = "out", ...more } = options;
      return pullWeights(by, {
        source: `${registry.host}/${repository}:${tag}`,
        output: at(output),
        only: [],
        force: false,
        useCache: true,
        ...more,
      });
    },
    /** Blobs that were asked for since the last time, and whether they are parts. */
    fetched(): string[] {
      const blobs = registry.done.filter((line) => /^GET .*\/blobs\//.test(line));
      registry.done.length = 0;
      return blobs.map((line) => line.slice(line.indexOf("sha256:")));
    },
    read: (name: string, output = "out"): Promise<Bytes> =>
      readFile(join(at(output), "src", name)) as unknown as Promise<Bytes>,
  };
}

const header = noise(3000, 1);
const large = noise(300_000, 2);
const pool = noise(40_000, 3);
const other = noise(200_000, 4);
const third = noise(150_000, 5);

/** A file in which pieces of a pool lie between larger parts. */
const model: TestFile = {
  name: "model.safetensors",
  pieces: [
    header,
    { part: pool, start: 0, end: 10_000 },
    large,
    { part: pool, start: 10_000, end: 40_000 },
    other,
  ],
};

describe("a file in parts", () => {
  for (const useCache of [true, false]) {
    test(`is put together, ${useCache ? "with" : "without"} a cache`, async () => {
      const { put, pull, read, fetched, job } = await bench();
      await put([model]);
      const report = await pull({ useCache });
      expect(digestOf(await read(model.name))).toBe(digestOf(contentOf(model)));
      expect(report.files.map(({ outcome }) => outcome)).toEqual(["fetched"]);
      // Four parts and the recipe, each once.
      expect(new Set(fetched()).size).toBe(5);
      expect(job.warnings()).toEqual([]);
      const again = await pull({ useCache });
      expect(again.files.map(({ outcome }) => outcome)).toEqual(["kept"]);
      const further = await pull({ useCache, output: "second" });
      expect(further.files.map(({ outcome }) => outcome)).toEqual([
        useCache ? "cached" : "fetched",
      ]);
      expect(digestOf(await read(model.name, "second"))).toBe(digestOf(contentOf(model)));
    });
  }

  test("is put together from compressed parts, from pieces of a part, and from one part twice", async () => {
    const { put, pull, read, fetched } = await bench();
    const file: TestFile = {
      name: "model.gguf",
      pieces: [
        header,
        large,
        { part: other, start: 1000, end: 50_000 },
        large,
        { part: other, start: 40_000, end: 60_000 },
        pool,
      ],
    };
    await put([file], { packed: [large, pool] });
    await pull({ checkWhole: true });
    expect(digestOf(await read(file.name))).toBe(digestOf(contentOf(file)));
    expect(fetched().length).toBe(5);
    expect((await readdir(join((await bench()).job.cwd))).length).toBe(0);
  });

  test("that is not split is stored as in a plain artifact", async () => {
    const { put, pull, read } = await bench();
    const files: TestFile[] = [
      { name: "a.bin", pieces: [large] },
      { name: "b.bin", pieces: [pool] },
      { name: "empty.bin", pieces: [] },
    ];
    await put(files, { packed: [pool] });
    await pull({ checkWhole: true });
    for (const file of files) {
      expect(digestOf(await read(file.name))).toBe(digestOf(contentOf(file)));
    }
  });

  test("a part that feeds several files is fetched once", async () => {
    const { put, pull, read, fetched } = await bench();
    const files: TestFile[] = [
      { name: "a.bin", pieces: [header, large, other] },
      { name: "b.bin", pieces: [large, pool, other] },
      { name: "c.bin", pieces: [other, large] },
    ];
    await put(files);
    await pull();
    for (const file of files) {
      expect(digestOf(await read(file.name))).toBe(digestOf(contentOf(file)));
    }
    const blobs = fetched();
    expect(blobs.length).toBe(new Set(blobs).size);
  });

  test("only the parts of a chosen file are fetched", async () => {
    const { put, pull, fetched } = await bench();
    await put([
      { name: "a.bin", pieces: [header, large] },
      { name: "b.bin", pieces: [pool, other] },
    ]);
    const { recipe } = await put([
      { name: "a.bin", pieces: [header, large] },
      { name: "b.bin", pieces: [pool, other] },
    ]);
    fetched();
    await pull({ only: ["a.bin"] });
    expect(fetched().toSorted()).toEqual([recipe, digestOf(header), digestOf(large)].toSorted());
  });
});

describe("the next version", () => {
  const next: TestFile = { ...model, pieces: [...model.pieces.slice(0, 4), third] };

  test("is made from the cached one and the parts that are new", async () => {
    const { put, pull, fetched, read } = await bench();
    await put([model]);
    await pull();
    const { recipe } = await put([next], { tag: "v2" });
    fetched();
    const report = await pull({ tag: "v2", output: "next" });
    expect(fetched().toSorted()).toEqual([recipe, digestOf(third)].toSorted());
    expect(report.reused).toBe(header.length + large.length + pool.length);
    expect(digestOf(await read(next.name, "next"))).toBe(digestOf(contentOf(next)));
  });

  test("is made from the file that it replaces", async () => {
    const { put, pull, fetched, read } = await bench();
    await put([model]);
    await pull({ useCache: false });
    await put([next], { tag: "v2" });
    fetched();
    await pull({ tag: "v2", useCache: false, force: true });
    expect(fetched()).toContain(digestOf(third));
    expect(fetched()).not.toContain(digestOf(large));
    expect(digestOf(await read(next.name))).toBe(digestOf(contentOf(next)));
  });

  test("is made from a seed; one that is damaged costs a download", async () => {
    const { put, pull, fetched, read, at } = await bench();
    await put([model]);
    const content = contentOf(model);
    await writeFile(at("seed.bin"), content);
    fetched();
    await pull({ seeds: ["seed.bin"], useCache: false });
    expect(fetched().length).toBe(1);
    await rm(at("out"), { recursive: true });
    content[5000] = (content[5000] ?? 0) ^ 1;
    await writeFile(at("seed.bin"), content);
    await pull({ seeds: ["seed.bin"], useCache: false });
    // The recipe, and the pool.
    expect(fetched().length).toBe(2);
    expect(digestOf(await read(model.name))).toBe(digestOf(contentOf(model)));
  });

  test("is made from seeds that are links, as in the cache of a hub", async () => {
    const { put, pull, fetched, at } = await bench();
    await put([model]);
    await writeFiles(at("hub"), { "blobs/abc": contentOf(model), "snapshots/main/README.md": "" });
    await symlink("../../blobs/abc", at("hub/snapshots/main/model.safetensors"));
    await symlink("nowhere", at("hub/snapshots/main/broken"));
    // A link to a directory leads in a circle.
    await symlink("..", at("hub/snapshots/up"));
    await symlink(at("hub/snapshots"), at("link"));
    await symlink(at("hub/snapshots/main/model.safetensors"), at("file"));
    for (const seed of ["hub/snapshots/main", "hub/snapshots", "link", "file"]) {
      fetched();
      await pull({ seeds: [seed], useCache: false });
      // The recipe.
      expect([seed, fetched().length]).toEqual([seed, 1]);
      await rm(at("out"), { recursive: true });
    }
  });

  test("passes over directories that can't be read below one that is a seed", async () => {
    const { put, pull, fetched, at, job } = await bench();
    await put([model]);
    await writeFiles(at("tree"), { "z/model.safetensors": contentOf(model) });
    // Its path is longer than any may be, which nobody may read either.
    const name = "d".repeat(200);
    const script = `while mkdir ${name} && cd ${name}; do :; done`;
    execFileSync("sh", ["-c", script], { cwd: at("tree"), stdio: "ignore" });
    try {
      await pull({ seeds: ["tree"], useCache: false });
    } finally {
      execFileSync("rm", ["-rf", at("tree")]);
    }
    // The recipe.
    expect(fetched().length).toBe(1);
    expect(job.warnings()).toEqual([
      expect.stringMatching(
        /^no seeds from ".*\/ddd.*", which cannot be read: the name is too long$/,
      ),
    ]);
  });

  test("refuses a seed that is neither a file nor a directory", async () => {
    const { put, pull, at } = await bench();
    await put([model]);
    await symlink("circle", at("circle"));
    for (const [seed, why] of [
      ["/dev/null", "is not a regular file"],
      ["circle", "is a broken symbolic link"],
      ["missing", "does not exist"],
    ] as const) {
      const { code, message, hint } = await failureOf(pull({ seeds: [seed] }));
      expect([code, message, hint]).toEqual([
        "usage",
        expect.stringMatching(new RegExp(`: cannot use "${seed}" as a seed: it ${why}$`)),
        "use a readable file or directory for --seed",
      ]);
    }
  });
});

const notFollowed =
  'weight "model.safetensors": its parts are not those that its recipe lists: downloading the whole file';

describe("plain weights with a recipe", () => {
  const next: TestFile = { ...model, pieces: [...model.pieces.slice(0, 4), third] };

  test("are made of what is here and of ranges of the blob", async () => {
    const { put, pull, registry, read, fetched } = await bench();
    await put([model]);
    await pull();
    await putPlain(registry, repository, next, { tag: "v2" });
    fetched();
    let received = 0;
    registry.meddle(async (request, handle) => {
      const response = await handle(request);
      if (request.method !== "GET" || !/blobs/.test(request.url)) return response;
      received += Number(response.headers.get("content-length") ?? 0);
      return response;
    });
    const report = await pull({ tag: "v2", output: "next" });
    expect(digestOf(await read(next.name, "next"))).toBe(digestOf(contentOf(next)));
    expect(report.reused).toBe(header.length + large.length + pool.length);
    expect(received).toBeLessThan(third.length + 3000);
    // The very file that the first pull made of parts: it is the blob once it is hashed as a whole.
    await putPlain(registry, repository, model, { tag: "v3" });
    expect((await pull({ tag: "v3", output: "third" })).reused).toBe(contentOf(model).length);
    expect((await pull({ tag: "v3", output: "fourth" })).files[0]?.outcome).toBe("cached");
    expect(digestOf(await read(model.name, "third"))).toBe(digestOf(contentOf(model)));
  });

  test("come as a blob where nothing is here, and become seeds", async () => {
    const { pull, registry, read } = await bench();
    await putPlain(registry, repository, model);
    expect((await pull()).reused).toBe(0);
    await putPlain(registry, repository, next, { tag: "v2" });
    const report = await pull({ tag: "v2", output: "next" });
    expect(report.reused).toBe(header.length + large.length + pool.length);
    expect(digestOf(await read(next.name, "next"))).toBe(digestOf(contentOf(next)));
  });

  test("a recipe that lies about the parts of a blob plants nothing", async () => {
    const { put, pull, registry, read } = await bench();
    // It says that the blob begins with another part than it does.
    await putPlain(
      registry,
      repository,
      { ...model, name: "lie.bin" },
      {
        recipe: (recipe) => {
          const parts = recipe["parts"] as [string, number][];
          parts[2] = [digestOf(noise(300_000, 9)), 300_000];
          return recipe;
        },
      },
    );
    await pull();
    expect(digestOf(await read("lie.bin"))).toBe(digestOf(contentOf(model)));
    const honest: TestFile = { name: "honest.bin", pieces: [header, noise(300_000, 9)] };
    await put([honest], { tag: "v2" });
    await pull({ tag: "v2", output: "next" });
    expect(digestOf(await read("honest.bin", "next"))).toBe(digestOf(contentOf(honest)));
  });

  test("a recipe that makes another file of what is here than the blob is not followed", async () => {
    const { put, pull, registry, at, job, read } = await bench();
    await put([model]);
    await pull();
    const blob: TestFile = { ...model, pieces: [noise(contentOf(model).length, 9)] };
    const parts = [header, pool, large, other].map((part) => [digestOf(part), part.length]);
    const segments = [
      [0, 0, 3000],
      [1, 0, 10_000],
      [2, 0, 300_000],
      [1, 10_000, 30_000],
      [3, 0, 200_000],
    ];
    await putPlain(registry, repository, blob, {
      tag: "v2",
      recipe: ({ files, ...rest }) => ({
        ...rest,
        parts,
        files: (files as object[]).map((file) => ({ ...file, segments })),
      }),
    });
    for (const useCache of [true, false]) {
      await pull({ tag: "v2", output: "next", useCache, seeds: [at("out")] });
      expect(digestOf(await read(model.name, "next"))).toBe(digestOf(contentOf(blob)));
      await rm(at("next"), { recursive: true });
    }
    expect(job.warnings()).toEqual([notFollowed, notFollowed]);
    // Nor is the file that is there already taken for the blob.
    expect((await failureOf(pull({ tag: "v2" }))).code).toBe("conflict");
  });

  test("a recipe that lists other parts than the blob has is not followed, nor believed later", async () => {
    const { put, pull, registry, job, read } = await bench();
    const wrong = noise(300_000, 9);
    await putPlain(registry, repository, model, {
      recipe: (recipe) => {
        const parts = recipe["parts"] as [string, number][];
        parts[2] = [digestOf(wrong), wrong.length];
        return recipe;
      },
    });
    // Enough of it is here that it is made of parts.
    await put([{ name: "seed.bin", pieces: [header, pool, other] }], { tag: "seed" });
    await pull({ tag: "seed", output: "seed" });
    await pull();
    expect(digestOf(await read(model.name))).toBe(digestOf(contentOf(model)));
    expect(job.warnings()).toEqual([notFollowed]);
    const honest: TestFile = { name: "honest.bin", pieces: [header, wrong] };
    await put([honest], { tag: "v2" });
    await pull({ tag: "v2", output: "next" });
    expect(digestOf(await read("honest.bin", "next"))).toBe(digestOf(contentOf(honest)));
  });

  test("are compared by their parts", async () => {
    const { put, registry, job } = await bench();
    const of = (tag: string): string => `${registry.host}/${repository}:${tag}`;
    await putPlain(registry, repository, model);
    await put([model], { tag: "parts" });
    await putPlain(registry, repository, next, { tag: "v2" });
    await putPlain(registry, repository, next, { tag: "odd", recipe: () => ({ version: "7" }) });
    for (const before of ["v1", "parts"]) {
      const { fetch, parts } = await diffModels(job, of(before), of("v2"));
      expect(fetch.weights).toEqual({ blobs: 1, bytes: third.length });
      expect(parts?.missing).toEqual({ blobs: 1, bytes: third.length });
    }
    expect((await diffModels(job, of("v1"), of("odd"))).fetch.weights).toEqual({
      blobs: 1,
      bytes: contentOf(next).length,
    });
    expect((await diffModels(job, of("parts"), of("v1"))).fetch.weights.bytes).toBe(0);
  });

  test("a recipe that can't be read changes nothing", async () => {
    const { pull, registry, read } = await bench();
    await putPlain(registry, repository, model, { recipe: () => ({ version: "7" }) });
    await pull();
    expect(digestOf(await read(model.name))).toBe(digestOf(contentOf(model)));
  });
});

test("tensors are listed from the headers, in parts, plain and compressed", async () => {
  const { put, registry, job } = await bench();
  const body = noise(400_000, 8);
  const json = JSON.stringify({
    a: { dtype: "BF16", shape: [500, 200], data_offsets: [0, 200_000] },
    b: { dtype: "F32", shape: [50_000], data_offsets: [200_000, 400_000] },
  });
  const front = new Uint8Array(8 + json.length);
  new DataView(front.buffer).setBigUint64(0, BigInt(json.length), true);
  front.set(new TextEncoder().encode(json), 8);
  const file: TestFile = {
    name: "model.safetensors",
    pieces: [front, body.subarray(0, 200_000), body.subarray(200_000)],
  };
  await put([file, { name: "note.txt", pieces: [header] }], { packed: [front] });
  await putPlain(registry, repository, file, { tag: "plain" });
  for (const tag of ["v1", "plain"]) {
    const { files } = await inspectTensors(job, `${registry.host}/${repository}:${tag}`);
    expect(files[0]).toMatchObject({
      format: "safetensors",
      tensors: [
        { name: "a", dtype: "BF16", shape: [500, 200], bytes: 200_000 },
        { name: "b", dtype: "F32", shape: [50_000], bytes: 200_000 },
      ],
    });
    if (tag === "v1") expect(files[1]).toMatchObject({ format: null, tensors: null });
  }
});

describe("the cache", () => {
  test("lists, verifies and prunes what was put together", async () => {
    const { put, pull, job, at } = await bench();
    await put([model]);
    await pull();
    await rm(at("out"), { recursive: true });
    const { blobs } = await listCache(job);
    expect(blobs).toMatchObject([
      { assembled: true, names: [model.name], size: contentOf(model).length },
    ]);
    expect(await verifyCache(job)).toMatchObject({ blobs: 1, damaged: [] });
    const directory = at(".cache/assembled/blobs/sha256");
    const [name = ""] = await readdir(directory);
    const path = join(directory, name);
    const content = await readFile(path);
    content[100_000] = (content[100_000] ?? 0) ^ 1;
    await chmod(path, 0o644);
    await writeFile(path, content);
    await chmod(path, 0o444);
    expect((await verifyCache(job)).damaged).toMatchObject([{ removed: true }]);
    await pull();
    await rm(at("out"), { recursive: true });
    const pruned = await pruneUnused(job, { olderThan: undefined, maxSize: 0, dryRun: false });
    expect(pruned.removed.length).toBe(1);
    expect((await listCache(job)).blobs).toEqual([]);
    expect(await readdir(at(".cache/assembled/records/content"))).toEqual([]);
  });
});

describe("beside a pull", () => {
  const next: TestFile = { ...model, pieces: [...model.pieces.slice(0, 4), third] };

  test("it is shown, and compared by its parts", async () => {
    const { put, registry, job } = await bench();
    await put([model], { packed: [large] });
    await put([next], { tag: "v2" });
    const at = (tag: string): string => `${registry.host}/${repository}:${tag}`;
    expect(await inspectSource(job, at("v2"))).toMatchObject({
      weights: { format: "parts", parts: { count: 4, size: 493_000, stored: 493_000 } },
    });
    const { parts, fetch } = await diffModels(job, at("v1"), at("v2"));
    expect(parts).toEqual({
      total: { blobs: 4, bytes: 493_000 },
      missing: { blobs: 1, bytes: third.length },
    });
    expect(fetch.weights).toEqual({ blobs: 1, bytes: third.length });
    expect((await diffModels(job, at("v1"), at("v1"))).parts?.missing.blobs).toBe(0);
    expect(job.warnings()).toEqual([]);
  });

  test("a recipe that can't be read is not compared as if there were no files", async () => {
    const { put, registry, job, at } = await bench();
    await put([model]);
    await put([model], { tag: "odd", recipe: (recipe) => ({ ...recipe, version: "2" }) });
    const of = (tag: string): string => `${registry.host}/${repository}:${tag}`;
    for (const work of [
      () => diffModels(job, of("v1"), of("odd")),
      () => diffModels(job, of("odd"), of("v1")),
      () => verifySource(job, { source: of("odd"), dir: at("."), quick: false }),
    ]) {
      expect((await failureOf(work())).message).toContain('recipe version "2" is not supported');
    }
    // What it consists of is shown all the same.
    expect(await inspectSource(job, of("odd"))).toMatchObject({ name: of("odd") });
    expect(job.warnings()).toEqual([expect.stringContaining("files not listed: ")]);
  });

  test("it is verified: its parts, and what is said of the whole file", async () => {
    const { put, registry, job } = await bench();
    await put([model], { packed: [large, pool] });
    const source = `${registry.host}/${repository}:v1`;
    const request = { source, dir: undefined, quick: false };
    expect((await verifySource(job, request)).problems).toEqual([]);
    expect((await verifySource(job, { ...request, quick: true })).problems).toEqual([]);
    await put([{ ...model, claim: digestOf(other) }], { tag: "lie" });
    const lie = await verifySource(job, {
      ...request,
      source: `${registry.host}/${repository}:lie`,
    });
    expect(lie.problems).toMatchObject([{ item: model.name, kind: "differs" }]);
    expect(lie.problems[0]?.detail).toContain("the whole file has digest");
    registry.meddle(async (request_, handle) => {
      const response = await handle(request_);
      if (!request_.url.includes(digestOf(other)) || request_.method !== "GET") return response;
      const bytes = new Uint8Array(await response.arrayBuffer());
      bytes[100] = (bytes[100] ?? 0) ^ 1;
      return new Response(bytes, { status: response.status, headers: response.headers });
    });
    const { problems } = await verifySource(job, request);
    expect(problems).toMatchObject([{ item: expect.stringContaining("part sha256:") }]);
  });

  test("it is copied as it is", async () => {
    const { put, registry, job, at } = await bench();
    const { digest } = await put([model], { packed: [large] });
    const source = `${registry.host}/${repository}:v1`;
    const copied = await copyModel(job, {
      source,
      target: "oci:copied:v1",
      platform: undefined,
      referrers: false,
      dryRun: false,
    });
    expect(copied.model.digest).toBe(digest as never);
    await pullWeights(job, {
      source: "oci:copied:v1",
      output: at("out"),
      only: [],
      force: false,
      useCache: false,
    });
    expect(digestOf(await readFile(join(at("out"), "src", model.name)))).toBe(
      digestOf(contentOf(model)),
    );
  });
});

describe("what is wrong", () => {
  test("a part with other bytes is an integrity failure that leaves nothing", async () => {
    const { put, pull, registry, at } = await bench();
    await put([model]);
    registry.meddle(async (request, next) => {
      const response = await next(request);
      if (!request.url.includes(digestOf(large)) || request.method !== "GET") return response;
      const bytes = new Uint8Array(await response.arrayBuffer());
      bytes[100] = (bytes[100] ?? 0) ^ 1;
      return new Response(bytes, { status: response.status, headers: response.headers });
    });
    for (const useCache of [true, false]) {
      const error = await failureOf(pull({ useCache }));
      expect(error.code).toBe("integrity");
      expect(error.message).toContain("the received content does not match its digest");
      const left = await readdir(at("out"), { recursive: true });
      expect(left.filter((name) => /tmp|safetensors/.test(name))).toEqual([]);
    }
  });

  test("a part with the right digest and another length is an integrity failure", async () => {
    for (const size of [large.byteLength - 1, large.byteLength + 1]) {
      const { put, pull, registry, at } = await bench();
      // By the recipe and the layer alike: the registry's own manifest can't say it.
      await put([model], {
        recipe(recipe) {
          const { parts, files } = recipe as { parts: [string, number][]; files: TestRecipeFile[] };
          return {
            ...recipe,
            parts: parts.map(([digest, of]) => [digest, of === large.byteLength ? size : of]),
            files: files.map((file) => ({
              ...file,
              size: file.size - large.byteLength + size,
              segments: file.segments.map(([index, start, length]) =>
                length === large.byteLength ? [index, start, size] : [index, start, length],
              ),
            })),
          };
        },
      });
      registry.meddle(async (request, next) => {
        const answer = await next(request);
        if (request.method !== "GET" || !request.url.includes("/manifests/")) return answer;
        const text = (await answer.text()).replace(`"size":${large.byteLength}`, `"size":${size}`);
        const headers = { "content-type": answer.headers.get("content-type") ?? "" };
        return new Response(text, { headers });
      });
      const error = await failureOf(pull());
      expect(error.code).toBe("integrity");
      expect(error.message).toContain(
        `the registry has ${large.byteLength} bytes, the descriptor has ${size}`,
      );
      const left = await readdir(at("out"), { recursive: true });
      expect(left.filter((name) => /tmp|safetensors/.test(name))).toEqual([]);
    }
  });

  test("a false digest of the whole file is found where it is checked, and never believed", async () => {
    const { put, pull, read, registry, job, at } = await bench();
    const claim = digestOf(other);
    await put([{ ...model, claim }]);
    for (const options of [{ checkWhole: true }, { hubId: "acme/model", output: "hub" }]) {
      const error = await failureOf(pull(options));
      expect(error.code).toBe("integrity");
      expect(error.message).toContain("the whole file does not match digest");
    }
    await pull();
    expect(digestOf(await read(model.name))).toBe(digestOf(contentOf(model)));
    const named = await readdir(at(".cache/blobs"), { recursive: true }).catch(() => []);
    expect(named.join()).not.toContain(claim.slice(7));
    // A plain artifact with a file of that digest gets the real one.
    await putParts(registry, repository, [{ name: "real.bin", pieces: [other] }], { tag: "real" });
    await pull({ tag: "real", output: "real" });
    expect(digestOf(await read("real.bin", "real"))).toBe(digestOf(other));
    expect(job.warnings()).toEqual([]);
  });

  test("a stream that expands beyond its part is refused", async () => {
    const { put, pull } = await bench();
    // Small enough for what it is said to be.
    const flat = new Uint8Array(300_000);
    await put([{ ...model, pieces: [header, flat, other] }], {
      packed: [flat],
      layers: (layers) =>
        layers.map((layer) =>
          layer["annotations"] === undefined
            ? layer
            : {
                ...layer,
                annotations: {
                  "vnd.ocibundle.part.digest.original": digestOf(flat.subarray(0, 1000)),
                  "vnd.ocibundle.part.size.original": "1000",
                },
              },
        ),
      recipe: (recipe) => {
        const parts = recipe["parts"] as [string, number][];
        const index = parts.findIndex(([digest]) => digest === digestOf(flat));
        parts[index] = [digestOf(flat.subarray(0, 1000)), 1000];
        const [file] = recipe["files"] as { size: number; segments: [number, number, number][] }[];
        if (file === undefined) throw new Error("no file");
        file.size -= flat.length - 1000;
        file.segments = file.segments.map(([part, start, length]) =>
          part === index ? [part, 0, 1000] : [part, start, length],
        );
        return recipe;
      },
    });
    expect((await failureOf(pull())).code).toBe("integrity");
  });

  test("a file whose only part has another digest than the recipe says", async () => {
    const { put, pull } = await bench();
    await put([{ name: "a.bin", pieces: [large], claim: digestOf(other) }]);
    expect((await failureOf(pull())).code).toBe("integrity");
  });

  test("a version of the recipe that is not known is named", async () => {
    const { put, pull } = await bench();
    await put([model], { recipe: (recipe) => ({ ...recipe, version: "2" }) });
    const error = await failureOf(pull());
    expect(error.message).toContain('recipe version "2" is not supported');
    expect(error.hint).toBe("update ocibundle");
  });
});
