import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { setDigest } from "../../../../src/model/format/artifact/cog-weight.ts";
import { diffModels } from "../../../../src/model/jobs/diff.ts";
import { inspectSource } from "../../../../src/model/jobs/inspect.ts";
import { verifySource } from "../../../../src/model/jobs/verify.ts";
import { pullWeights } from "../../../../src/model/pull/pull.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { tarBytes, type TestEntry } from "../../../support/store/tar-bytes.ts";
import { failureOf } from "../../../support/failure.ts";
import { putManifest } from "../../../support/registry/recording-registry.ts";
import {
  type Bench,
  bench,
  both,
  emptyConfig,
  filepath,
  g3,
  ociTar,
  ollamaType,
  plainTar,
  repository,
  title,
  tokenizer,
  weightEntry,
  weights,
} from "../../../support/model/foreign-models.ts";
import { indexType, manifestType } from "../../../support/model/media-types.ts";

describe("a model is pulled that another tool wrote:", () => {
  test("ModelPack, raw layers with paths", async () => {
    const { blob, manifest, pull, pulled } = await bench();
    const config = await blob("{}", "application/vnd.cncf.model.config.v1+json");
    await manifest(
      {
        artifactType: "application/vnd.cncf.model.manifest.v1+json",
        config,
        layers: [
          await blob(
            weights,
            "application/vnd.cncf.model.weight.v1.raw",
            filepath("model.safetensors"),
          ),
          await blob(
            tokenizer,
            "application/vnd.cncf.model.weight.config.v1.raw",
            filepath("tokenizer.json"),
          ),
        ],
      },
      "v1",
    );
    const { formats } = await pull();
    expect(formats).toEqual(["modelpack"]);
    expect(await pulled()).toEqual(both);
  });

  for (const [name, type, pack] of [
    ["plain", "tar", (bytes: Buffer) => bytes],
    ["gzip", "tar+gzip", (bytes: Buffer) => gzipSync(bytes)],
    ["zstd", "tar+zstd", (bytes: Buffer) => zstdCompressSync(bytes)],
    ["gzip labelled as plain", "tar", (bytes: Buffer) => gzipSync(bytes)],
  ] as const) {
    test(`ModelPack, tar layers, ${name}, with the cache and without`, async () => {
      const { registry, blob, manifest, pull, pulled, job } = await bench();
      const tar = tarBytes(
        { name: "./", type: "Directory" },
        { name: "./model.safetensors", content: weights },
        { name: "sub/", type: "Directory" },
        { name: "sub/tokenizer.json", content: tokenizer },
        { name: "empty", content: "" },
      );
      await manifest(
        {
          config: await blob("{}", "application/vnd.cnai.model.config.v1+json"),
          layers: [await blob(pack(tar), `application/vnd.cnai.model.weight.v1.${type}`)],
        },
        "v1",
      );
      const files = {
        empty: digestOf(""),
        "model.safetensors": digestOf(weights),
        "sub/tokenizer.json": digestOf(tokenizer),
      };
      await pull();
      expect(await pulled()).toEqual(files);
      // The second pull has all in the cache: not even the layer is asked for.
      registry.seen.length = 0;
      await pull({ output: "again" });
      expect(await pulled("again")).toEqual(files);
      expect(registry.seen.filter(({ path }) => path.includes("/blobs/"))).toEqual([]);
      await pull({ output: "without", useCache: false });
      expect(await pulled("without")).toEqual(files);
      expect((await readdir(join(job.cwd, "without"))).filter((n) => n.includes("unpack"))).toEqual(
        [],
      );
    });
  }

  test("an archive counts as downloaded, the files in it as written", async () => {
    const { blob, manifest, pull, job } = await bench();
    const layer = gzipSync(
      tarBytes({ name: "a", content: weights }, { name: "b", content: tokenizer }),
    );
    await manifest(
      {
        config: await blob("{}", "application/vnd.cnai.model.config.v1+json"),
        layers: [await blob(layer, "application/vnd.cnai.model.weight.v1.tar+gzip")],
      },
      "v1",
    );
    await pull();
    const bytes = weights.length + tokenizer.length;
    expect(job.events.filter(({ type }) => type === "phase")).toEqual([
      { type: "phase", phase: "download", items: 1, bytes: layer.length },
      { type: "phase", phase: "check", items: 2, bytes },
      { type: "phase", phase: "write", items: 2, bytes },
    ]);
    const written = job.events.filter((one) => one.type === "done" && one.phase === "write");
    // In whatever order they are done.
    expect(written).toHaveLength(2);
    expect(written).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ item: "a", group: "weights", bytes: weights.length }),
        expect.objectContaining({ item: "b", group: "weights", bytes: tokenizer.length }),
      ]),
    );
  });

  test("of an archive with two entries of one name, the last", async () => {
    const { blob, manifest, pull, pulled, job } = await bench();
    const tar = tarBytes({ name: "a", content: "first" }, { name: "a", content: "second" });
    await manifest(
      {
        config: await blob("{}", "application/vnd.cnai.model.config.v1+json"),
        layers: [await blob(tar, "application/vnd.cnai.model.weight.v1.tar")],
      },
      "v1",
    );
    await pull();
    expect(await pulled()).toEqual({ a: digestOf("second") });
    expect(job.warnings().join()).toContain('"a" appears more than once in an archive');
  });

  test("without the cache where that can't be used", async () => {
    const { blob, manifest, pull, pulled, job } = await bench();
    await manifest(
      {
        config: await blob("{}", "application/vnd.cnai.model.config.v1+json"),
        layers: [
          await blob(
            tarBytes({ name: "a", content: "content" }),
            "application/vnd.cnai.model.weight.v1.tar",
          ),
        ],
      },
      "v1",
    );
    await writeFile(join(job.cwd, "no-directory"), "");
    job.env = { ...job.env, OCIBUNDLE_CACHE: join(job.cwd, "no-directory") };
    await pull();
    expect(await pulled()).toEqual({ a: digestOf("content") });
    expect(job.warnings().join()).toContain("pulling without the cache");
  });

  test("Docker Model Runner 0.1 by types, shards in their order", async () => {
    const { blob, manifest, pull, pulled } = await bench();
    await manifest(
      {
        config: await blob("{}", "application/vnd.docker.ai.model.config.v0.1+json"),
        layers: [
          await blob("one", "application/vnd.docker.ai.gguf.v3"),
          await blob("two", "application/vnd.docker.ai.gguf.v3"),
          await blob("MIT", "application/vnd.docker.ai.license"),
          await blob("{{ x }}", "application/vnd.docker.ai.chat.template.jinja"),
        ],
      },
      "v1",
    );
    await pull();
    expect(await pulled()).toEqual({
      LICENSE: digestOf("MIT"),
      "chat_template.jinja": digestOf("{{ x }}"),
      "model-00001-of-00002.gguf": digestOf("one"),
      "model-00002-of-00002.gguf": digestOf("two"),
    });
  });

  test("Docker Model Runner 0.2 by paths", async () => {
    const { blob, manifest, pull, pulled } = await bench();
    await manifest(
      {
        config: await blob("{}", "application/vnd.docker.ai.model.config.v0.2+json"),
        layers: [
          await blob(
            weights,
            "application/vnd.docker.ai.safetensors",
            filepath("model.safetensors"),
          ),
          await blob(tokenizer, "application/vnd.docker.ai.model.file", filepath("tokenizer.json")),
        ],
      },
      "v1",
    );
    await pull();
    expect(await pulled()).toEqual(both);
  });

  test("a ModelKit without an artifact type", async () => {
    const { blob, manifest, pull, pulled } = await bench();
    await manifest(
      {
        config: await blob("{}", "application/vnd.kitops.modelkit.config.v1+json"),
        layers: [
          await blob(
            gzipSync(tarBytes({ name: "model.safetensors", content: weights })),
            "application/vnd.kitops.modelkit.model.v1.tar+gzip",
          ),
          await blob(
            tarBytes({ name: "tokenizer.json", content: tokenizer }),
            "application/vnd.kitops.modelkit.docs.v1.tar",
          ),
        ],
      },
      "v1",
    );
    await pull();
    expect(await pulled()).toEqual(both);
  });

  test("an Ollama model, its parts under names that say what they are", async () => {
    const { blob, manifest, pull, pulled } = await bench();
    await manifest(
      {
        mediaType: "application/vnd.docker.distribution.manifest.v2+json",
        config: await blob("{}", "application/vnd.docker.container.image.v1+json"),
        layers: [
          await blob(weights, ollamaType("model")),
          await blob("{{ .Prompt }}", ollamaType("template")),
          await blob("MIT", ollamaType("license")),
          await blob("Apache", ollamaType("license")),
          await blob("{}\n", ollamaType("params")),
        ],
      },
      "v1",
    );
    await pull();
    expect(await pulled()).toEqual({
      "license-2.txt": digestOf("Apache"),
      "license.txt": digestOf("MIT"),
      "model.gguf": digestOf(weights),
      "params.json": digestOf("{}\n"),
      template: digestOf("{{ .Prompt }}"),
    });
  });

  test("files and a directory as oras pushes them; layers without a title are no files", async () => {
    const { blob, manifest, pull, pulled } = await bench();
    await manifest(
      {
        artifactType: "application/x-acme",
        config: await blob("{}", emptyConfig),
        layers: [
          await blob(weights, "application/octet-stream", title("model.safetensors")),
          await blob(
            gzipSync(tarBytes({ name: "dir/tokenizer.json", content: tokenizer })),
            "application/vnd.oci.image.layer.v1.tar+gzip",
            {
              annotations: {
                "org.opencontainers.image.title": "dir",
                "io.deis.oras.content.unpack": "true",
              },
            },
          ),
          await blob("no file", "application/octet-stream"),
        ],
      },
      "v1",
    );
    await pull();
    expect(await pulled()).toEqual({
      "dir/tokenizer.json": digestOf(tokenizer),
      "model.safetensors": digestOf(weights),
    });
  });

  test.each([
    ["null", { config: null }],
    ["no", {}],
  ])("an artifact with %s config, and one digest under two titles", async (_, config) => {
    const { blob, pull, pulled, job, registry } = await bench();
    const layers = [
      await blob("same", "application/octet-stream", title("a")),
      await blob("same", "application/octet-stream", title("b/c")),
    ];
    // Our own registry refuses such a manifest; others have taken it.
    const document = { schemaVersion: 2, mediaType: manifestType, ...config, layers };
    registry.meddle((request, next) =>
      request.url.includes("/manifests/")
        ? Response.json(document, { headers: { "content-type": manifestType } })
        : next(request),
    );
    await pull();
    expect(await pulled()).toEqual({ a: digestOf("same"), "b/c": digestOf("same") });
    const source = `${registry.host}/${repository}:v1`;
    expect(await inspectSource(job, source)).toMatchObject({ weights: { format: "generic" } });
  });

  test("a directory of an image, its layers laid one over the other", async () => {
    const { blob, manifest, pull, pulled, job } = await bench();
    const layer = (...entries: TestEntry[]) =>
      blob(gzipSync(tarBytes(...entries)), "application/vnd.docker.image.rootfs.diff.tar.gzip");
    await manifest(
      {
        mediaType: "application/vnd.docker.distribution.manifest.v2+json",
        config: await blob(
          '{"architecture":"amd64","os":"linux"}',
          "application/vnd.docker.container.image.v1+json",
        ),
        layers: [
          await layer(
            { name: "bin/sh", content: "shell" },
            { name: "models/old.bin", content: "old" },
            { name: "models/model.safetensors", content: "replaced below" },
            { name: "models/gone/x", content: "x" },
            { name: "blobs/tok", content: tokenizer },
          ),
          await layer(
            { name: "models/.wh.old.bin", content: "" },
            { name: "models/gone/.wh..wh..opq", content: "" },
            { name: "models/gone/y", content: "y" },
            { name: "models/model.safetensors", content: weights },
            { name: "models/tokenizer.json", type: "SymbolicLink", target: "../blobs/tok" },
            { name: "models/out", type: "SymbolicLink", target: "/nowhere" },
          ),
        ],
      },
      "v1",
    );
    await pull({ path: "/models" });
    expect(await pulled()).toEqual({ ...both, "gone/y": digestOf("y") });
    expect(job.warnings()).toEqual(['"models/out": skipped, the link has no target in the image']);
    const refused = await failureOf(pull({ output: "other" }));
    expect(refused.code).toBe("not_found");
    expect(refused.hint).toContain("--path /models");
    expect((await failureOf(pull({ output: "other", path: "/none" }))).code).toBe("not_found");
  });
});

describe("Cog's weights of today", () => {
  test("several in one index, from plain and compressed archives, each below its target", async () => {
    const all = await bench();
    const { registry, pull, pulled } = all;
    const model = await g3(all, {
      name: "llama",
      target: "/src/weights/llama",
      layers: [
        plainTar("model.safetensors", weights),
        {
          type: `${ociTar}+gzip`,
          bytes: gzipSync(
            tarBytes(
              { name: "a/x.json", content: "x" },
              { name: "tokenizer.json", content: tokenizer },
            ),
          ),
          files: { "a/x.json": "x", "tokenizer.json": tokenizer },
        },
      ],
    });
    const other = await g3(all, {
      name: "clip",
      target: "/src/weights/clip",
      layers: [plainTar("clip.bin", "clip")],
    });
    await putManifest(registry, repository, "v1", {
      schemaVersion: 2,
      mediaType: indexType,
      manifests: [weightEntry(model, "llama"), weightEntry(other, "clip")],
    });
    const report = await pull();
    expect(report.formats).toEqual(["cog"]);
    expect(await pulled()).toEqual({
      "src/weights/clip/clip.bin": digestOf("clip"),
      "src/weights/llama/a/x.json": digestOf("x"),
      "src/weights/llama/model.safetensors": digestOf(weights),
      "src/weights/llama/tokenizer.json": digestOf(tokenizer),
    });
    for (const [name, { digest }] of [
      ["llama", model],
      ["clip", other],
    ] as const) {
      const marker = join(all.job.cwd, `out/src/weights/${name}/.cog/ready`);
      expect(await readFile(marker, "utf8")).toBe(`${digest}\n`);
    }
    await pull({ output: "one", only: ["clip"] });
    expect(existsSync(join(all.job.cwd, "one/src/weights/clip/.cog/ready"))).toBe(true);
    expect(existsSync(join(all.job.cwd, "one/src/weights/llama"))).toBe(false);
    expect(Object.keys(await pulled("one"))).toEqual(["src/weights/clip/clip.bin"]);
  });

  test("a file of a plain archive is fetched by its range, and has to have the digest that is said", async () => {
    const all = await bench();
    const content = Buffer.alloc(3_000_000, "0123456789");
    const { digest } = await g3(all, {
      name: "w",
      target: "/w",
      layers: [plainTar("w.bin", content)],
    });
    await all.registry.ask(`/v2/${repository}/manifests/v1`, {
      method: "PUT",
      body: await (await all.registry.ask(`/v2/${repository}/manifests/${digest}`)).arrayBuffer(),
      headers: { "content-type": manifestType },
    });
    await all.pull({ useCache: false });
    expect(await all.pulled()).toEqual({ "w/w.bin": digestOf(content) });
    // A registry that refuses ranges sends the archive, of which the file is taken.
    let refused = 0;
    all.registry.meddle((request, next) => {
      if (request.headers.get("range") === null) return next(request);
      refused += 1;
      return new Response(null, { status: 416 });
    });
    await all.pull({ useCache: false, output: "again" });
    expect(refused).toBeGreaterThan(0);
    expect(await all.pulled("again")).toEqual({ "w/w.bin": digestOf(content) });

    const lying = await bench();
    const wrong = await g3(lying, {
      name: "w",
      target: "/w",
      layers: [plainTar("w.bin", content)],
      lie: { "w.bin": digestOf("other") },
    });
    await lying.registry.ask(`/v2/${repository}/manifests/v1`, {
      method: "PUT",
      body: await (
        await lying.registry.ask(`/v2/${repository}/manifests/${wrong.digest}`)
      ).arrayBuffer(),
      headers: { "content-type": manifestType },
    });
    expect((await failureOf(lying.pull())).code).toBe("integrity");
    expect(await lying.pulled()).toEqual({});
  });

  test("a set digest is of the lines sorted, without a newline at the end", () => {
    // The lock of Cog's example examples/experimental/resnet-managed-weights.
    const files = [
      ["config.json", "a1be0f56d516d0b55f9844ce0fbfe5fb359195cba6c6c102d41ae6c202c84d5e"],
      ["model.safetensors", "9c6061af1f450bb0847e529fd742aa5066017be379c71bbf5546b198e5b13a1e"],
      [
        "preprocessor_config.json",
        "fd575b890da5a949493e1d1e7a70bfcb9e4b99fe444004d2dbfa253add254741",
      ],
    ].map(([path = "", hex = ""]) => ({ path, digest: `sha256:${hex}` }));
    expect(setDigest(files)).toBe(
      "sha256:52924993c7eff45d5d1deaecf1f375d774c30faa1b4ce61379f5d552fd376744",
    );
  });

  test("one file per manifest, whose label lies about gzip", async () => {
    const { blob, manifest, pull, pulled } = await bench();
    await manifest(
      {
        artifactType: "application/vnd.cog.weight.v1",
        config: await blob(
          JSON.stringify({ schemaVersion: "1.0", name: "m", target: "/src/weights/m.safetensors" }),
          "application/vnd.cog.weight.config.v1+json",
        ),
        layers: [await blob(gzipSync(weights), "application/vnd.cog.weight.layer.v1")],
      },
      "v1",
    );
    expect((await pull()).formats).toEqual(["cog-single"]);
    expect(await pulled()).toEqual({ "src/weights/m.safetensors": digestOf(weights) });
  });
});

const refusal = async (
  make: (bench: Bench) => Promise<Record<string, unknown>>,
): Promise<{ code: string; message: string; files: string[] }> => {
  const all = await bench();
  await all.manifest(await make(all), "v1");
  const { code, message } = await failureOf(all.pull());
  const files = await all.pulled().then(Object.keys, () => []);
  return { code, message, files };
};

const cut = (bytes: Uint8Array, type: string) =>
  refusal(async ({ blob }) => ({
    config: await blob("{}", "application/vnd.cncf.model.config.v1+json"),
    layers: [await blob(bytes, `application/vnd.cncf.model.weight.v1.${type}`)],
  }));

const packed = (type: string, ...entries: TestEntry[]) =>
  refusal(async ({ blob }) => ({
    config: await blob("{}", "application/vnd.cncf.model.config.v1+json"),
    layers: [await blob(tarBytes(...entries), `application/vnd.cncf.model.weight.v1.${type}`)],
  }));
const raw = (...paths: string[]) =>
  refusal(async ({ blob }) => ({
    config: await blob("{}", "application/vnd.cncf.model.config.v1+json"),
    layers: await Promise.all(
      paths.map((path, index) =>
        blob(`content ${index}`, "application/vnd.cncf.model.weight.v1.raw", filepath(path)),
      ),
    ),
  }));

describe("inspect, verify and diff", () => {
  test("list the files of another tool's weights, and say where an archive does not", async () => {
    const all = await bench();
    const { blob, manifest, job, registry } = all;
    const { digest } = await g3(all, {
      name: "w",
      target: "/w",
      layers: [
        plainTar("w.bin", "content"),
        {
          type: `${ociTar}+gzip`,
          bytes: gzipSync(tarBytes({ name: "t.json", content: tokenizer })),
          files: { "t.json": tokenizer },
        },
      ],
    });
    const source = `${registry.host}/${repository}@${digest}`;
    expect(await inspectSource(job, source)).toMatchObject({
      type: "weights",
      weights: {
        format: "cog",
        unlisted: [],
        files: [
          {
            name: "w/w.bin",
            dest: "/w/w.bin",
            digestOriginal: digestOf("content"),
            sizeUncompressed: 7,
          },
          { name: "w/t.json", dest: "/w/t.json", digestOriginal: digestOf(tokenizer) },
        ],
      },
    });
    await pullWeights(job, {
      source,
      output: join(job.cwd, "out"),
      only: [],
      force: false,
      useCache: true,
    });
    const verified = await verifySource(job, { source, dir: join(job.cwd, "out"), quick: false });
    expect(verified).toMatchObject({ checked: { items: 2 }, problems: [] });
    await Bun.write(join(job.cwd, "out/w/w.bin"), "changed");
    const { problems } = await verifySource(job, {
      source,
      dir: join(job.cwd, "out"),
      quick: false,
    });
    expect(problems).toMatchObject([{ kind: "differs" }]);

    await manifest(
      {
        config: await blob("{}", "application/vnd.cncf.model.config.v1+json"),
        layers: [
          await blob("content", "application/vnd.cncf.model.weight.v1.raw", filepath("moved.bin")),
          await blob(tarBytes({ name: "x" }), "application/vnd.cncf.model.weight.v1.tar"),
        ],
      },
      "v1",
    );
    const archived = `${registry.host}/${repository}:v1`;
    expect(await inspectSource(job, archived)).toMatchObject({
      weights: { format: "modelpack", files: [{ name: "moved.bin" }], unlisted: [{ size: 1536 }] },
    });
    const refused = await failureOf(
      verifySource(job, { source: archived, dir: join(job.cwd, "out"), quick: false }),
    );
    expect(refused.code).toBe("usage");
    const { weights: moved } = await diffModels(job, source, archived);
    expect(moved.moved).toMatchObject([
      { before: { name: "w/w.bin" }, after: { name: "moved.bin" } },
    ]);
    expect(
      (await verifySource(job, { source: archived, dir: undefined, quick: false })).problems,
    ).toEqual([]);
  });
});

describe("what is hostile or unknown is refused, and nothing is written:", () => {
  test.each([["../x"], ["/etc/x"], ["a/../../x"], ["a\\b"], ["a\u0000b"], ["a\u001b[31m"]])(
    "the path %j",
    async (path) => {
      expect(await raw(path)).toMatchObject({ code: "file", files: [] });
    },
  );

  test("two layers with one path, and a file that is a directory too", async () => {
    expect(await raw("a", "a")).toMatchObject({ code: "file", files: [] });
    expect(await raw("a", "a/b")).toMatchObject({ code: "file", files: [] });
  });

  test("an archive that leaves the directory, or has links", async () => {
    expect(await packed("tar", { name: "../x", content: "x" })).toMatchObject({
      code: "file",
      files: [],
    });
    expect(await packed("tar", { name: "/x", content: "x" })).toMatchObject({
      code: "file",
      files: [],
    });
    expect(
      await packed("tar", { name: "x", type: "SymbolicLink", target: "/etc/passwd" }),
    ).toMatchObject({ code: "file", files: [] });
    expect(await packed("tar", { name: "x", type: "CharacterDevice" })).toMatchObject({
      code: "file",
      files: [],
    });
  });

  test("an archive that is cut off, and compressed data that is damaged", async () => {
    const tar = tarBytes({ name: "a", content: weights });
    expect(await cut(tar.subarray(0, 200_000), "tar")).toMatchObject({
      code: "integrity",
      files: [],
    });
    const zipped = gzipSync(tar);
    expect(await cut(zipped.subarray(0, zipped.length - 20), "tar+gzip")).toMatchObject({
      code: "integrity",
      files: [],
    });
    zipped[zipped.length - 6] = (zipped[zipped.length - 6] ?? 0) ^ 0xff;
    expect(await cut(zipped, "tar+gzip")).toMatchObject({ code: "integrity", files: [] });
  });

  test("an artifact of no known format says what was found and what is known", async () => {
    const { code, message } = await refusal(async ({ blob }) => ({
      artifactType: "application/x-strange",
      config: await blob("{}", "application/x-config"),
      layers: [await blob("x", "application/x-layer")],
    }));
    expect(code).toBe("not_found");
    expect(message).toContain('artifact type "application/x-strange"');
    expect(message).toContain('layers "application/x-layer"');
  });
});
