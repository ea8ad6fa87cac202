import { describe, expect, test } from "bun:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { layoutNames } from "../../../../src/model/format/layout-name.ts";
import { copyModel } from "../../../../src/model/jobs/copy.ts";
import { filesOfModel } from "../../../../src/model/jobs/model-files.ts";
import { openSession } from "../../../../src/model/session/session.ts";
import { modelPlace } from "../../../../src/model/places/place.ts";
import type { Descriptor } from "../../../../src/oci/descriptor.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { tarBytes } from "../../../support/store/tar-bytes.ts";
import { failureOf } from "../../../support/failure.ts";
import {
  type Bench,
  bench,
  both,
  filepath,
  g3,
  ociTar,
  ollamaType,
  plainTar,
  repository,
  title,
  tokenizer,
  weights,
} from "../../../support/model/foreign-models.ts";
import { packConfig, manifestType } from "../../../support/model/media-types.ts";

const archive = () =>
  tarBytes(
    { name: "model.safetensors", content: weights },
    { name: "sub/", type: "Directory" },
    { name: "sub/tokenizer.json", content: tokenizer },
  );
const pack = (kind: string) => `application/vnd.cncf.model.weight.v1.${kind}`;
const imageConfig = "application/vnd.oci.image.config.v1+json";

/** A model of each format that is read, and how it is stored. */
const sources: Record<string, (all: Bench) => Promise<Record<string, unknown>>> = {
  "a bundle": async ({ blob }) => ({
    artifactType: "application/vnd.cog.weights.v1",
    config: await blob("{}", "application/vnd.oci.empty.v1+json"),
    layers: [
      { ...(await blob(weights, weightsLayer)), ...named("model.safetensors", weights) },
      {
        ...(await blob(gzipSync(tokenizer), `${weightsLayer}+gzip`)),
        ...named("tokenizer.json", tokenizer),
      },
    ],
  }),
  "Cog's, plain": (all) =>
    membersOf(
      all,
      g3(all, {
        name: "w",
        target: "/src/weights",
        layers: [plainTar("model.safetensors", weights), plainTar("sub/tokenizer.json", tokenizer)],
      }),
    ),
  "Cog's, in part compressed": (all) =>
    membersOf(
      all,
      g3(all, {
        name: "w",
        target: "/src/weights",
        layers: [
          plainTar("model.safetensors", weights),
          {
            type: `${ociTar}+gzip`,
            bytes: gzipSync(tarBytes({ name: "tokenizer.json", content: tokenizer })),
            files: { "tokenizer.json": tokenizer },
          },
        ],
      }),
    ),
  "ModelPack, raw": async ({ blob }) => ({
    config: await blob("{}", packConfig),
    layers: [
      { ...(await blob(weights, pack("raw"))), ...filepath("model.safetensors") },
      { ...(await blob(tokenizer, pack("raw"))), ...filepath("sub/tokenizer.json") },
    ],
  }),
  "ModelPack, archives": async ({ blob }) => ({
    config: await blob("{}", packConfig),
    layers: [
      await blob(tarBytes({ name: "model.safetensors", content: weights }), pack("tar")),
      await blob(
        zstdCompressSync(tarBytes({ name: "tokenizer.json", content: tokenizer })),
        pack("tar+zstd"),
      ),
    ],
  }),
  "Docker Model Runner's": async ({ blob }) => ({
    config: await blob("{}", "application/vnd.docker.ai.model.config.v0.2+json"),
    layers: [
      {
        ...(await blob(weights, "application/vnd.docker.ai.safetensors")),
        ...filepath("model.safetensors"),
      },
      await blob(
        tarBytes({ name: "tokenizer.json", content: tokenizer }),
        "application/vnd.docker.ai.vllm.config.tar",
      ),
    ],
  }),
  "a ModelKit": async ({ blob }) => ({
    config: await blob("{}", "application/vnd.kitops.modelkit.config.v1+json"),
    layers: [await blob(gzipSync(archive()), "application/vnd.kitops.modelkit.model.v1.tar+gzip")],
  }),
  "what oras pushes": async ({ blob }) => ({
    config: await blob("{}", "application/vnd.oci.empty.v1+json"),
    layers: [
      { ...(await blob(weights, "application/octet-stream")), ...title("model.safetensors") },
      {
        ...(await blob(
          gzipSync(tarBytes({ name: "sub/tokenizer.json", content: tokenizer })),
          `${ociTar}+gzip`,
        )),
        annotations: { ...title("sub").annotations, "io.deis.oras.content.unpack": "true" },
      },
    ],
  }),
  "an image, plain": async ({ blob }) => ({
    config: await blob("{}", imageConfig),
    layers: [
      await blob(
        tarBytes(
          { name: "models/model.safetensors", content: weights },
          { name: "models/old", content: "old" },
        ),
        ociTar,
      ),
      await blob(
        tarBytes(
          { name: "models/.wh.old", content: "" },
          { name: "blobs/t", content: tokenizer },
          { name: "models/tokenizer.json", type: "SymbolicLink", target: "/blobs/t" },
        ),
        ociTar,
      ),
    ],
  }),
  "an image, compressed": async ({ blob }) => ({
    config: await blob("{}", imageConfig),
    layers: [
      await blob(
        gzipSync(
          tarBytes(
            { name: "models/model.safetensors", content: weights },
            { name: "models/tokenizer.json", content: tokenizer },
          ),
        ),
        `${ociTar}+gzip`,
      ),
    ],
  }),
};

const weightsLayer = "application/vnd.cog.weights.layer.v1";
const named = (name: string, content: string | Buffer) => ({
  annotations: {
    "vnd.cog.weights.name": name,
    "vnd.cog.weights.dest": `/src/weights/${name}`,
    "vnd.cog.weights.digest.original": digestOf(content),
    "vnd.cog.weights.size.uncompressed": String(Buffer.byteLength(content)),
  },
});

async function membersOf(
  { registry }: Bench,
  put: Promise<Descriptor>,
): Promise<Record<string, unknown>> {
  const { digest } = await put;
  const answer = await registry.ask(`/v2/${repository}/manifests/${digest}`);
  return (await answer.json()) as Record<string, unknown>;
}

const copy = (all: Bench, source: string, target: string, layout?: string, path?: string) =>
  copyModel(all.job, {
    source: `${all.registry.host}/${source}`,
    target: `${all.registry.host}/${target}`,
    platform: undefined,
    layout,
    path,
    referrers: false,
    dryRun: false,
  });

/** The files of a model with the digests of their bytes, by the last part of the path. */
async function contents(all: Bench, source: string, path?: string) {
  await using stack = new AsyncDisposableStack();
  const session = openSession(all.job);
  const { open } = await modelPlace(session, `${all.registry.host}/${source}`);
  const opened = await open();
  stack.defer(opened.close);
  const found = await filesOfModel(session, opened, { path, stack });
  const pairs = found.map(({ dest, digest }) => [dest.split("/").at(-1), digest] as const);
  return Object.fromEntries(pairs.toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1)));
}

describe("every format that is read is converted to every layout that is written:", () => {
  for (const [name, make] of Object.entries(sources)) {
    const path = name.startsWith("an image") ? "/models" : undefined;
    test(name, async () => {
      const all = await bench();
      await all.manifest({ mediaType: manifestType, ...(await make(all)) }, "v1");
      for (const layout of layoutNames) {
        await copy(all, `${repository}:v1`, `acme/to:${layout}`, layout, path);
        const below = layout === "image" ? "/models" : undefined;
        expect({ layout, files: await contents(all, `acme/to:${layout}`, below) }).toEqual({
          layout,
          files: both,
        });
      }
    });
  }

  test("files whose names say nothing: an Ollama model, Cog's single files", async () => {
    const all = await bench();
    const { blob, manifest } = all;
    await manifest(
      {
        config: await blob("{}", "application/vnd.docker.container.image.v1+json"),
        layers: [
          await blob(weights, ollamaType("model")),
          await blob("MIT", ollamaType("license")),
        ],
      },
      "ollama",
    );
    await manifest(
      {
        artifactType: "application/vnd.cog.weight.v1",
        config: await blob(
          JSON.stringify({ name: "m", target: "/src/weights/m.bin" }),
          "application/vnd.cog.weight.config.v1+json",
        ),
        layers: [await blob(gzipSync(weights), "application/vnd.cog.weight.layer.v1")],
      },
      "single",
    );
    for (const layout of layoutNames) {
      const below = layout === "image" ? "/models" : undefined;
      await copy(all, `${repository}:ollama`, `acme/to:o-${layout}`, layout);
      expect(await contents(all, `acme/to:o-${layout}`, below)).toEqual({
        "license.txt": digestOf("MIT"),
        "model.gguf": digestOf(weights),
      });
      await copy(all, `${repository}:single`, `acme/to:s-${layout}`, layout);
      expect(await contents(all, `acme/to:s-${layout}`, below)).toEqual({
        "m.bin": digestOf(weights),
      });
    }
  });
});

describe("a conversion", () => {
  test("reads archives that are not compressed where they are: nothing goes through the cache", async () => {
    const all = await bench();
    for (const name of ["an image, plain", "Cog's, plain"]) {
      await all.manifest({ mediaType: manifestType, ...(await sources[name]?.(all)) }, "v1");
      const path = name.startsWith("an image") ? "/models" : undefined;
      await copy(all, `${repository}:v1`, "acme/to:v1", "modelpack", path);
      expect(
        await Array.fromAsync(new Bun.Glob("blobs/**").scan(all.job.env["OCIBUNDLE_CACHE"])),
      ).toEqual([]);
    }
  });

  test("of an archive with other bytes than its digest says is refused", async () => {
    const all = await bench();
    const layer = await all.blob(tarBytes({ name: "a", content: "some content" }), pack("tar"));
    await all.manifest({ config: await all.blob("{}", packConfig), layers: [layer] }, "v1");
    all.registry.meddle(async (request, next) => {
      const response = await next(request);
      if (request.method !== "GET" || !request.url.includes(layer.digest)) return response;
      const bytes = Buffer.from(await response.arrayBuffer());
      const at = bytes.indexOf("some content");
      if (at !== -1) bytes[at] = 0x53;
      return new Response(bytes, response);
    });
    const refused = await failureOf(copy(all, `${repository}:v1`, "acme/to:v1", "modelpack"));
    expect(refused.code).toBe("integrity");
    expect((await all.registry.ask("/v2/acme/to/manifests/v1")).status).toBe(404);
  });

  test("of an image needs a directory, and a directory a layout", async () => {
    const all = await bench();
    await all.manifest(
      { mediaType: manifestType, ...(await sources["an image, plain"]?.(all)) },
      "v1",
    );
    const from = `${repository}:v1`;
    expect(await failureOf(copy(all, from, "acme/to:v1", "modelpack"))).toMatchObject({
      code: "not_found",
      hint: expect.stringContaining("--path /models"),
    });
    expect((await failureOf(copy(all, from, "acme/to:v1", "cog", "/none"))).code).toBe("not_found");
    expect((await failureOf(copy(all, from, "acme/to:v1", undefined, "/models"))).code).toBe(
      "usage",
    );
  });
});
