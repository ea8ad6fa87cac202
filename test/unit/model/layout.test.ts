import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sampleLayers, writeSampleImage } from "../../../scripts/sample-image.ts";
import { parseAnyLock } from "../../../src/model/format/cog-lock.ts";
import { writeLock } from "../../../src/model/lock/lock.ts";
import type { Descriptor } from "../../../src/oci/descriptor.ts";
import { copyModel } from "../../../src/model/jobs/copy.ts";
import { inspectSource } from "../../../src/model/jobs/inspect.ts";
import { pushModel } from "../../../src/model/jobs/push.ts";
import { pullWeights } from "../../../src/model/pull/pull.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { pushOfNothing } from "../../support/model/push.ts";
import { type Job, jobIn, lock, preparedJob } from "../../support/model/job.ts";
import { failureOf } from "../../support/failure.ts";
import {
  type RecordingRegistry,
  recordingRegistry,
} from "../../support/registry/recording-registry.ts";
import { temporaryDirectory, writeFiles } from "../../support/temporary-directory.ts";

const tensor = (name: string, dtype: string, shape: number[], bytes: number) => {
  const header = Buffer.from(
    JSON.stringify({ [name]: { dtype, shape, data_offsets: [0, bytes] } }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.byteLength));
  return Buffer.concat([length, header, Buffer.alloc(bytes, 7)]);
};

const files = {
  "model.safetensors": tensor("w", "F32", [50, 1000], 200_000),
  "config.json":
    '{"model_type":"llama","architectures":["LlamaForCausalLM"],"torch_dtype":"bfloat16"}',
  "tokenizer/vocab.txt": "a\nb\n",
};

const prepared = (): Promise<Job> => preparedJob(files);

const push = (job: Job, reference: string, more: object = {}) =>
  pushModel(job, {
    ...pushOfNothing,
    reference,
    weights: ["weights"],
    ...more,
  });

const pull = (job: Job, source: string, output: string, path?: string) =>
  pullWeights(job, {
    source,
    output: join(job.cwd, output),
    only: [],
    path,
    force: false,
    useCache: true,
  });

const copy = (job: Job, source: string, target: string, layout?: string) =>
  copyModel(job, {
    source,
    target,
    platform: undefined,
    layout,
    referrers: false,
    dryRun: false,
  });

/** The files below a directory, by their last names. */
async function contents(directory: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of await readdir(directory, { recursive: true })) {
    const path = join(directory, name);
    if (name.split("/").some((part) => part.startsWith(".")) || !(await stat(path)).isFile())
      continue;
    const wanted = Object.keys(files).find((file) => name.endsWith(file)) ?? name;
    found[wanted] = digestOf(await readFile(path));
  }
  return found;
}

const expected = Object.fromEntries(
  Object.entries(files).map(([name, content]) => [name, digestOf(content)]),
);

describe("weights in every layout", () => {
  for (const layout of ["bundle", "cog", "modelpack", "image"] as const) {
    const path = layout === "image" ? "/models" : undefined;

    test(`${layout}: pushed, pulled again, the same digest at the second push`, async () => {
      const registry = await recordingRegistry();
      const job = await prepared();
      const reference = `${registry.host}/acme/model:${layout}`;
      const first = await push(job, reference, { layout });
      await pull(job, reference, "out", path);
      expect(await contents(join(job.cwd, "out"))).toEqual(expected);
      const second = await push(job, reference, { layout });
      expect(second.model.digest).toBe(first.model.digest);
      expect(second.sent.blobs).toBe(0);
    });

    test(`${layout}: converted from a bundle on a registry, nothing on this disk`, async () => {
      const registry = await recordingRegistry();
      const job = await prepared();
      const source = `${registry.host}/acme/model:v1`;
      await push(job, source);
      const target = `${registry.host}/acme/${layout}:v1`;
      const report = await copy(job, source, target, layout);
      const direct = await push(job, `${registry.host}/acme/direct:v1`, { layout });
      expect(report.model.digest).toBe(direct.model.digest);
      await pull(job, target, "out", path);
      expect(await contents(join(job.cwd, "out"))).toEqual(expected);
    });
  }

  test("bundle to modelpack and back in one registry sends no weights", async () => {
    const registry = await recordingRegistry();
    const job = await prepared();
    const source = `${registry.host}/acme/model:v1`;
    await push(job, source);
    const there = await copy(job, source, `${registry.host}/acme/pack:v1`, "modelpack");
    // The config only.
    expect(there.sent.blobs).toBe(1);
    expect(there.mounted.blobs).toBe(3);
    const back = await copy(
      job,
      `${registry.host}/acme/pack:v1`,
      `${registry.host}/acme/back:v1`,
      "bundle",
    );
    expect(back.sent).toMatchObject({ blobs: 0 });
  });

  test("from cog's plain archives to every other layout", async () => {
    const registry = await recordingRegistry();
    const job = await prepared();
    const source = `${registry.host}/acme/model:cog`;
    await push(job, source, { layout: "cog" });
    for (const layout of ["bundle", "modelpack", "image"]) {
      const target = `${registry.host}/acme/${layout}:v1`;
      await copy(job, source, target, layout);
      await pull(job, target, `out-${layout}`, layout === "image" ? "/models" : undefined);
      expect(await contents(join(job.cwd, `out-${layout}`))).toEqual(expected);
    }
  });

  test("a file of many chunks arrives as it is, in every layout and converted", async () => {
    const registry = await recordingRegistry();
    const large = Buffer.alloc(24_000_000);
    for (let at = 0; at + 4 <= large.length; at += 4096) large.writeUInt32LE(at, at);
    const job = await preparedJob({ "large.bin": large });
    for (const layout of ["bundle", "cog", "modelpack", "image"]) {
      const reference = `${registry.host}/acme/${layout}:v1`;
      await push(job, reference, { layout });
      const output = `large-${layout}`;
      await pull(job, reference, output, layout === "image" ? "/models" : undefined);
      expect(Object.values(await contents(join(job.cwd, output)))).toEqual([digestOf(large)]);
    }
    const source = `${registry.host}/acme/cog:v1`;
    await copy(job, source, `${registry.host}/acme/again:v1`, "image");
    await pull(job, `${registry.host}/acme/again:v1`, "again", "/models");
    expect(Object.values(await contents(join(job.cwd, "again")))).toEqual([digestOf(large)]);
  });

  test("compressed weights are stored as they are in layouts that know no compression", async () => {
    const registry = await recordingRegistry();
    const job = await prepared();
    await lock(job, "zstd");
    const source = `${registry.host}/acme/model:v1`;
    await push(job, source);
    for (const layout of ["modelpack", "cog", "image"]) {
      const target = `${registry.host}/acme/${layout}:v1`;
      const copied = await copy(job, source, target, layout);
      const pushed = await push(job, `${registry.host}/acme/other:${layout}`, { layout });
      expect(copied.model.digest).toBe(pushed.model.digest);
      await pull(job, target, `out-${layout}`, layout === "image" ? "/models" : undefined);
      expect(await contents(join(job.cwd, `out-${layout}`))).toEqual(expected);
    }
  });
});

describe("what other tools look for", () => {
  test("ModelPack's config says what the files say", async () => {
    const registry = await recordingRegistry();
    const job = await prepared();
    const reference = `${registry.host}/acme/model:v1`;
    await push(job, reference, { layout: "modelpack" });
    const manifest = await (await registry.ask("/v2/acme/model/manifests/v1")).json();
    expect(manifest).toMatchObject({
      artifactType: "application/vnd.cncf.model.manifest.v1+json",
      config: { mediaType: "application/vnd.cncf.model.config.v1+json" },
    });
    const config = await (
      await registry.ask(
        `/v2/acme/model/blobs/${(manifest as { config: { digest: string } }).config.digest}`,
      )
    ).json();
    expect(config).toEqual({
      descriptor: { family: "llama" },
      modelfs: {
        type: "layers",
        diffIds: ["config.json", "model.safetensors", "tokenizer/vocab.txt"].map(
          (name) => expected[name],
        ),
      },
      config: {
        format: "safetensors",
        architecture: "LlamaForCausalLM",
        precision: "bf16",
        paramSize: "50k",
      },
    });
    const kinds = (manifest as { layers: { mediaType: string; annotations: object }[] }).layers;
    expect(kinds.map(({ mediaType }) => mediaType.split(".").slice(3).join("."))).toEqual([
      "weight.config.v1.raw",
      "weight.v1.raw",
      "weight.config.v1.raw",
    ]);
    expect(kinds[2]?.annotations).toMatchObject({
      "org.cncf.model.filepath": "tokenizer/vocab.txt",
      "org.opencontainers.image.title": "tokenizer/vocab.txt",
    });
  });

  test("Cog finds its weight by tag, and an image beside it", async () => {
    const registry = await recordingRegistry();
    const job = await prepared();
    const reference = `${registry.host}/acme/model:v1`;
    await push(job, reference, { layout: "cog", image: "oci:image:v1" });
    const index = (await (await registry.ask("/v2/acme/model/manifests/v1")).json()) as {
      manifests: { artifactType?: string; annotations: Record<string, string> }[];
    };
    const weight = index.manifests.find(
      ({ artifactType }) => artifactType === "application/vnd.cog.weight.v1",
    );
    const set = weight?.annotations["run.cog.weight.set-digest"] ?? "";
    const tag = `cog-weight.weights.${set.slice(7, 19)}`;
    expect((await registry.ask(`/v2/acme/model/manifests/${tag}`)).status).toBe(200);
    expect(await inspectSource(job, reference)).toMatchObject({
      images: [{ platform: "linux/amd64" }],
      weights: { format: "cog" },
    });
  });
});

/** What an index lists. */
const indexOf = async (registry: RecordingRegistry, path: string): Promise<Descriptor[]> => {
  const answer = await registry.ask(`/v2/acme/${path}`);
  return ((await answer.json()) as { manifests: Descriptor[] }).manifests;
};

describe("Cog's weights", () => {
  const project = `image: registry.example.com/acme/model
weights:
  - name: llama.3
    source: ./llama
    target: /src/weights/llama
    exclude: ["*.md"]
  - source: ./vocab/vocab.txt
    target: /src/vocab/vocab.txt
`;

  async function named(): Promise<Job> {
    const job = jobIn(await temporaryDirectory());
    await writeFiles(job.cwd, {
      "cog.yaml": project,
      "llama/model.bin": "llama",
      "llama/README.md": "about",
      "vocab/vocab.txt": "a\nb\n",
    });
    await writeSampleImage(join(job.cwd, "image"), "v1", sampleLayers("print('hello')\n"), {});
    await writeLock(job, { paths: [], dest: undefined, output: undefined, compression: "none" });
    return job;
  }

  test("are those of the project file, each with its target, and its sources in Cog's lock", async () => {
    const registry = await recordingRegistry();
    const job = await named();
    const reference = `${registry.host}/acme/model:v1`;
    await push(job, reference, {
      weights: [],
      layout: "cog",
      image: "oci:image:v1",
      cogLock: "cog.lock",
    });
    const index = await indexOf(registry, "model/manifests/v1");
    expect(index.map(({ annotations }) => annotations?.["run.cog.weight.name"])).toEqual([
      undefined,
      "llama.3",
      "vocab",
    ]);
    const tagged = await registry.ask("/v2/acme/model/manifests/cog-image.v1");
    expect(tagged.headers.get("docker-content-digest")).toBe(index[0]?.digest ?? "");
    const written = JSON.parse(await readFile(join(job.cwd, "cog.lock"), "utf8"));
    expect(written.weights).toMatchObject([
      {
        name: "llama.3",
        target: "/src/weights/llama",
        sources: [{ uri: "file://./llama", include: [], exclude: ["*.md"] }],
        files: [{ path: "model.bin" }],
      },
      {
        name: "vocab",
        target: "/src/vocab",
        sources: [{ uri: "file://./vocab", include: ["vocab.txt"], exclude: [] }],
      },
    ]);
    expect(parseAnyLock(await readFile(join(job.cwd, "cog.lock")), "cog.lock").files).toHaveLength(
      2,
    );
    await pull(job, reference, "out");
    expect(await readFile(join(job.cwd, "out/src/vocab/vocab.txt"), "utf8")).toBe("a\nb\n");
    expect(existsSync(join(job.cwd, "out/src/weights/llama/.cog/ready"))).toBe(true);
  });

  test("keep their names and their image when they are converted, there and back", async () => {
    const registry = await recordingRegistry();
    const job = await named();
    const at = (name: string) => `${registry.host}/acme/${name}`;
    await push(job, at("model:v1"), { weights: [], layout: "cog", image: "oci:image:v1" });
    const again = await copy(job, at("model:v1"), at("again:v1"), "cog");
    expect(await indexOf(registry, "again/manifests/v1")).toEqual(
      await indexOf(registry, "model/manifests/v1"),
    );
    expect(again.sent).toMatchObject({ blobs: 0 });
    await copy(job, at("model:v1"), at("bundle:v1"), "bundle");
    const bundle = await indexOf(registry, "bundle/manifests/v1");
    expect(bundle.map(({ artifactType }) => artifactType)).toEqual([
      undefined,
      "application/vnd.cog.weights.v1",
    ]);
    await copy(job, at("bundle:v1"), at("back:v1"), "cog");
    const back = await indexOf(registry, "back/manifests/v1");
    expect(back.map(({ digest }) => digest)[0]).toBe(bundle[0]?.digest);
    expect(back).toHaveLength(2);
  });

  test("whose targets lie in each other are one", async () => {
    const registry = await recordingRegistry();
    const job = await named();
    await writeFile(
      join(job.cwd, "cog.yaml"),
      project.replaceAll("/src/vocab/vocab.txt", "/src/weights/llama/sub/vocab.txt"),
    );
    await writeLock(job, { paths: [], dest: undefined, output: undefined, compression: "none" });
    await push(job, `${registry.host}/acme/model:v1`, { weights: [], layout: "cog" });
    expect(await indexOf(registry, "model/manifests/v1")).toHaveLength(1);
  });
});

describe("what does not fit is refused before anything is sent:", () => {
  test("an unknown layout, an image without a place, an empty file", async () => {
    const registry = await recordingRegistry();
    const job = await prepared();
    const reference = `${registry.host}/acme/model:v1`;
    for (const more of [
      { layout: "tarball" },
      { layout: "modelpack", image: "oci:image:v1" },
      { layout: "cog", format: "bundle" },
    ]) {
      expect((await failureOf(push(job, reference, more))).code).toBe("usage");
    }
    await writeFiles(join(job.cwd, "weights"), { empty: "" });
    await lock(job);
    expect((await failureOf(push(job, reference, { layout: "modelpack" }))).message).toContain(
      '"empty"',
    );
    expect(registry.done.filter((done) => done.startsWith("PUT"))).toEqual([]);
    await push(job, reference, { layout: "cog" });
    await pull(job, reference, "out");
    expect(Object.keys(await contents(join(job.cwd, "out")))).toContain("src/weights/empty");
  });

  test("but an empty file in a bundle, which has the digest that `lock` gives it", async () => {
    const registry = await recordingRegistry();
    const job = await preparedJob({ "a.txt": "a\nb\n", empty: "" });
    await lock(job);
    const reference = `${registry.host}/acme/model`;
    await push(job, `${reference}:v1`);
    await push(job, `${reference}:cog`, { layout: "cog" });
    await copy(job, `${reference}:cog`, `${reference}:again`, "bundle");
    const digests = async (tag: string): Promise<string[]> => {
      const response = await registry.ask(`/v2/acme/model/manifests/${tag}`);
      const { layers } = (await response.json()) as { layers: { digest: string }[] };
      return layers.map(({ digest }) => digest).toSorted();
    };
    expect(await digests("v1")).toHaveLength(2);
    expect(await digests("again")).toEqual(await digests("v1"));
    await pull(job, `${reference}:again`, "out");
    expect(Object.keys(await contents(join(job.cwd, "out")))).toContain("src/weights/empty");
  });

  test("a file that changed after it was locked", async () => {
    const registry = await recordingRegistry();
    const job = await prepared();
    await writeFile(
      join(job.cwd, "weights/config.json"),
      files["config.json"].replace("llama", "mamba"),
    );
    const refused = await failureOf(
      push(job, `${registry.host}/acme/model:v1`, { layout: "image" }),
    );
    expect(refused.code).toBe("integrity");
  });
});
