import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import {
  digestsOfKind,
  layoutOf,
  listed,
  manifestJson,
  memoryReader,
} from "../../../support/model/traps.ts";
import { cogLockOf } from "../../../../src/model/format/cog-lock.ts";
import { setDigest } from "../../../../src/model/format/artifact/cog-weight.ts";
import { bundles } from "../../../../src/model/layout/image.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { tarBytes } from "../../../support/store/tar-bytes.ts";
import { packConfig } from "../../../support/model/media-types.ts";

/**
 * What goes wrong between tools that read and write the same artifacts. Each trap has its test here, or where
 * this says:
 *
 * 1 the order of a set digest: here, and with the digest of a lock of Cog's in model/pull/formats.test.ts
 * 2 one artifact type for two generations, and a label that lies about gzip: here, model/pull/formats.test.ts
 * 3 manifests without artifact type, locks "1.0": here, model/format/cog-lock.test.ts
 * 4 Cog's lock: number as version, no newline at its end: here, test/interop/layouts.test.ts
 * 5 gzip that can't be made again: here (nothing is packed with it); go-tar.test.ts has the vectors
 * 6 names in archives are the lock's paths: here
 * 7 empty files: here, model/layout.test.ts
 * 8 containerd mounts artifacts as nothing: here (the layout image has the config of one)
 * 9, 10, 11 what CRI-O, podman and oras take a title for: here
 * 12, 13, 14, 15, 20 what modctl, Docker Model Runner and the schema want of ModelPack: here
 * 16 Ollama's manifests: model/pull/formats.test.ts; nothing is written for Ollama
 * 17 KServe wants models/ and no zstd: here
 * 18 old ModelKits: here
 * 19 large manifests and many layers: here, model/format/weights-artifact.test.ts
 * 21 times in digests: here
 * 22 registries that refuse types: model/doctor/doctor.test.ts
 * 23 the config decides what a manifest is to engines: here
 *
 * Archives with pax sizes, links, devices, "..", holes and names twice: store/archive/archive.test.ts,
 * model/pull/unpack-layer.test.ts, model/pull/formats.test.ts. Diff IDs that differ: unpack-layer.test.ts.
 */

const ociTar = "application/vnd.oci.image.layer.v1.tar";
const cogConfig = "application/vnd.cog.weight.config.v1+json";
const cogType = "application/vnd.cog.weight.v1";
const raw = "application/vnd.cncf.model.weight.v1.raw";
const filepath = (path: string) => ({ annotations: { "org.cncf.model.filepath": path } });
const title = (path: string) => ({ annotations: { "org.opencontainers.image.title": path } });

const files = {
  "/src/weights/llama/model.safetensors": "weights",
  "/src/weights/llama/sub/tokenizer.json": "{}",
  "/src/weights/llama/empty.txt": "",
};
const withoutEmpty = {
  "/src/weights/llama/model.safetensors": "weights",
  "/src/weights/llama/sub/tokenizer.json": "{}",
};

describe("traps of reading", () => {
  test("1: a set digest is of lines sorted by hash, and another order is refused", async () => {
    const reader = memoryReader();
    const layer = reader.blob(
      tarBytes({ name: "a", content: "1" }, { name: "b", content: "2" }),
      ociTar,
    );
    const described = [
      { path: "a", layer: layer.digest, size: 1, digest: digestOf("1") },
      { path: "b", layer: layer.digest, size: 1, digest: digestOf("2") },
    ];
    const manifest = (set: string) => ({
      artifactType: cogType,
      config: reader.json({ name: "w", target: "/w", setDigest: set, files: described }, cogConfig),
      layers: [layer],
    });
    expect(await listed(reader, manifest(setDigest(described)))).toMatchObject({ format: "cog" });
    const byPath = described.map(({ path, digest }) => `${digest.slice(7)}  ${path}\n`).join("");
    await expect(listed(reader, manifest(digestOf(byPath)))).rejects.toMatchObject({
      code: "integrity",
    });
  });

  test("2: layers tell the generations with one artifact type apart", async () => {
    const reader = memoryReader();
    const single = reader.blob(gzipSync("x"), "application/vnd.cog.weight.layer.v1");
    const config = reader.json({ name: "m", target: "/src/m.bin" }, cogConfig);
    expect(await listed(reader, { artifactType: cogType, config, layers: [single] })).toMatchObject(
      { format: "cog-single", packed: ["/src/m.bin"] },
    );
  });

  test("3: weights of Cog's own have no artifact type, and gzip under the label of a plain file", async () => {
    const reader = memoryReader();
    const annotations = {
      "vnd.cog.weights.name": "m",
      "vnd.cog.weights.dest": "/src/m.bin",
      "vnd.cog.weights.digest.original": digestOf("weights"),
      "vnd.cog.weights.size.uncompressed": "7",
    };
    const type = "application/vnd.cog.weights.layer.v1";
    const config = reader.blob("{}", "application/vnd.docker.container.image.v1+json");
    const found = await listed(reader, {
      config,
      layers: [{ ...reader.blob(gzipSync("weights"), type), annotations }],
    });
    expect(found).toMatchObject({ format: "bundle", files: ["/src/m.bin"] });
    expect(found.entries[0]?.mediaType).toBe(`${type}+gzip`);
  });

  test("11: no title is no file, an absolute one is refused", async () => {
    const reader = memoryReader();
    const config = reader.blob("{}", "application/x-config");
    const type = "application/octet-stream";
    const layers = [reader.blob("1", type), { ...reader.blob("2", type), ...title("dir/a") }];
    expect(await listed(reader, { config, layers })).toMatchObject({
      format: "generic",
      files: ["/dir/a"],
    });
    for (const path of ["/etc/passwd", "../a", "a/../../b", "C:/a", "a\\b", "a\u0000", "."]) {
      const absolute = [{ ...reader.blob("1", type), ...title(path) }];
      await expect(listed(reader, { config, layers: absolute })).rejects.toMatchObject({
        code: "file",
      });
    }
  });

  test("11: a config with a title is a file, and a directory that packed itself is at the root", async () => {
    const reader = memoryReader();
    const config = { ...reader.blob("{}", "application/x-config"), ...title("config.json") };
    const packed = {
      ...reader.blob(gzipSync(tarBytes({ name: "a", content: "1" })), ociTar),
      annotations: { ...title(".").annotations, "io.deis.oras.content.unpack": "true" },
    };
    expect(await listed(reader, { config, layers: [packed] })).toMatchObject({
      files: ["/config.json"],
      tars: ["/"],
    });
  });

  test("18: a ModelKit is known by its config where nothing else says so", async () => {
    const reader = memoryReader();
    const config = reader.blob("{}", "application/vnd.kitops.modelkit.config.v1+json");
    const layer = reader.blob(
      tarBytes({ name: "m" }),
      "application/vnd.kitops.modelkit.model.v1.tar",
    );
    expect(await listed(reader, { mediaType: undefined, config, layers: [layer] })).toMatchObject({
      format: "modelkit",
      tars: ["/"],
    });
  });

  test("23: a manifest with the config of an image is one, whatever its artifact type", async () => {
    const reader = memoryReader();
    const config = reader.json({ rootfs: null }, "application/vnd.oci.image.config.v1+json");
    const layers = [reader.blob(tarBytes({ name: "models/m" }), ociTar)];
    const artifactType = "application/x-acme";
    expect(await listed(reader, { artifactType, config, layers })).toMatchObject({
      format: "image",
    });
  });

  test.each([
    ["parameters", `${packConfig}; charset=utf-8`, `${raw};v=1`, undefined],
    ["capitals", packConfig.toUpperCase(), raw.toUpperCase(), undefined],
    ["spaces", ` ${packConfig} `, ` ${raw} `, undefined],
    [
      "parameters of the artifact type alone",
      "application/vnd.oci.empty.v1+json",
      raw,
      "application/vnd.cncf.model.manifest.v1+json; v=1",
    ],
    ["types from before the CNCF", packConfig.replace("cncf", "cnai"), raw, undefined],
  ])("media types with %s are recognised", async (_, config, layer, artifactType) => {
    const reader = memoryReader();
    const layers = [{ ...reader.blob("1", layer), ...filepath("./a") }];
    expect(
      await listed(reader, { artifactType, config: reader.blob("{}", config), layers }),
    ).toMatchObject({ format: "modelpack", files: ["/a"] });
  });

  test("layers of one digest twice: two files of two paths, one of one path", async () => {
    const reader = memoryReader();
    const config = reader.blob("{}", packConfig);
    const layer = { ...reader.blob("1", raw), ...filepath("a") };
    const tar = reader.blob(tarBytes({ name: "t" }), raw.replace("raw", "tar"));
    const layers = [layer, layer, { ...layer, ...filepath("b") }, tar, tar];
    expect(await listed(reader, { config, layers })).toMatchObject({
      files: ["/a", "/b"],
      tars: ["/"],
    });
  });

  test.each([
    ["null", { config: null, layers: null }],
    ["absent", {}],
  ])("members that are %s are no files", async (_, members) => {
    const artifactType = "application/vnd.cncf.model.manifest.v1+json";
    expect(await listed(memoryReader(), { artifactType, ...members })).toMatchObject({
      format: "modelpack",
      files: [],
      tars: [],
    });
  });

  test.each([
    ["null", null],
    ["a list", []],
    ["of no files", { name: "w", target: "/w", files: null }],
    ["with a relative target", { name: "w", target: "w", files: [] }],
    ["with a target that leaves the root", target("/../w", "a")],
    ["with a path that leaves its target", target("/w", "../a")],
    ["with a layer that is missing", target("/w", "a")],
  ])("a config of Cog's that is %s is refused", async (_, document) => {
    const reader = memoryReader();
    const config = reader.json(document, cogConfig);
    await expect(
      listed(reader, { artifactType: cogType, config, layers: [] }),
    ).rejects.toMatchObject({ code: "file" });
  });

  test("several weights of one index are all found, one that is listed twice once, in an index too", async () => {
    const reader = memoryReader();
    const weight = (name: string) => {
      const layer = reader.blob(tarBytes({ name: "m", content: name }), ociTar);
      const file = { path: "m", layer: layer.digest, size: 1, digest: digestOf(name) };
      const config = reader.json({ name, target: `/w/${name}`, files: [file] }, cogConfig);
      const entry = reader.manifest({ artifactType: cogType, config, layers: [layer] });
      return { ...entry, artifactType: cogType };
    };
    const [a, b] = [weight("a"), weight("b")];
    expect((await reader.contents(reader.index([a, b, a]))).map(({ tars }) => tars)).toEqual([
      ["/w/a"],
      ["/w/b"],
    ]);
    const nested = reader.index([reader.descriptor(reader.index([a, b]))]);
    expect(await reader.contents(nested)).toHaveLength(2);
  });
});

/** Cog's config of one file in a layer that the manifest lacks, or that is never looked at. */
function target(directory: string, path: string): object {
  const digest = digestOf("x");
  return { name: "w", target: directory, files: [{ path, layer: digest, size: 1, digest }] };
}

/** A file that nobody reads. */
const file = (size: number, index: number) => ({
  name: `f${index}`,
  path: `f${index}`,
  dest: `/f${index}`,
  digest: digestOf(String(index)),
  size,
  source: () => Promise.reject(new Error("not read")),
});

describe("traps of writing", () => {
  test("4: Cog's lock has a number as version, escapes as Go, and ends without a newline", async () => {
    const { cogEntries = [] } = await layoutOf("cog", { "/w/a <b>.bin": "1" });
    const bytes = cogLockOf(cogEntries, { uri: "file://./w", importedAt: "2026-01-01T00:00:00Z" });
    const text = new TextDecoder().decode(bytes);
    expect(text).toStartWith('{\n  "version": 1,\n  "envelopeFormat": ""');
    expect(text).toContain('"path": "a \\u003cb\\u003e.bin"');
    expect(text.at(-1)).toBe("}");
  });

  test("5, 9, 17: nothing is packed with gzip or zstd for other tools", async () => {
    for (const layout of ["cog", "image", "modelpack"] as const) {
      const { types } = await layoutOf(layout, withoutEmpty);
      expect(types.filter((type) => /gzip|zstd/.test(type))).toEqual([]);
    }
  });

  test("6, 7: names in Cog's archives are the paths of its lock, and no layer is of empty files alone", async () => {
    const { cogEntries, entriesOf } = await layoutOf("cog", files);
    const [cogEntry] = cogEntries ?? [];
    const paths = cogEntry?.files.map(({ path }) => path);
    expect(paths).toEqual(["empty.txt", "model.safetensors", "sub/tokenizer.json"]);
    const names = await Promise.all(
      (cogEntry?.layers ?? []).map(({ digest }) => entriesOf(digest)),
    );
    expect(names.flat()).toEqual(paths ?? []);
    expect(cogEntry?.layers.every(({ sizeUncompressed }) => sizeUncompressed > 0)).toBe(true);
    await expect(layoutOf("cog", { "/w/empty": "" })).rejects.toMatchObject({ code: "usage" });
    await expect(layoutOf("modelpack", files)).rejects.toMatchObject({ code: "usage" });
  });

  test("9, 10, 11: titles are relative, unique, and only on files as they are", async () => {
    for (const layout of ["bundle", "modelpack"] as const) {
      const { root } = await layoutOf(layout, withoutEmpty);
      const titles = manifestJson(root).layers.map(
        ({ annotations }) => annotations?.["org.opencontainers.image.title"],
      );
      expect(titles).toEqual(["model.safetensors", "sub/tokenizer.json"]);
    }
    const { root } = await layoutOf("bundle", { "/w/a": "1", "/w/empty": "" });
    expect(
      manifestJson(root).layers.map(
        ({ annotations }) => annotations?.["org.opencontainers.image.title"],
      ),
    ).toEqual(["a", undefined]);
    // podman takes no title with a slash: files of one directory have none.
    const flat = await layoutOf("modelpack", { "/a/b/c/x": "1", "/a/b/c/y": "2" });
    expect(JSON.stringify(manifestJson(flat.root))).not.toContain('title":"a/');
  });

  test("12, 13, 14, 15, 20: ModelPack is one manifest of raw layers, and its config all that readers want", async () => {
    const { root, config } = await layoutOf("modelpack", withoutEmpty);
    const { mediaType, layers, artifactType } = manifestJson(root);
    expect(mediaType).toBe("application/vnd.oci.image.manifest.v1+json");
    expect(artifactType).toBe("application/vnd.cncf.model.manifest.v1+json");
    expect(layers.every((layer) => layer.mediaType.endsWith(".v1.raw"))).toBe(true);
    expect(config).toMatchObject({
      descriptor: expect.any(Object),
      modelfs: { type: "layers", diffIds: layers.map(({ digest }) => digest) },
      config: expect.any(Object),
    });
    expect(JSON.stringify(config)).not.toMatch(/diff_ids|"name":""|createdAt/);
    expect(JSON.stringify(layers)).not.toContain("metadata");
  });

  test("8, 17, 23: an image has the config of one, true diff IDs, and its files below models/", async () => {
    const { root, children, manifests, entriesOf } = await layoutOf("image", files);
    expect(root.mediaType).toBe("application/vnd.oci.image.index.v1+json");
    expect(children).toHaveLength(2);
    for (const manifest of manifests) {
      expect(manifest.artifactType).toBeUndefined();
      expect(manifest.config.mediaType).toBe("application/vnd.oci.image.config.v1+json");
      const config = await digestsOfKind(manifest);
      expect(config).toEqual(manifest.layers.map(({ digest }) => digest));
      const names = await Promise.all(manifest.layers.map(({ digest }) => entriesOf(digest)));
      expect(names.flat().every((name) => name.startsWith("models/"))).toBe(true);
    }
  });

  test("19: small files share layers, and there are never more than engines mount", () => {
    const small = Array.from({ length: 1000 }, (_, index) => file(1000, index));
    expect(bundles(small)).toHaveLength(1);
    const large = Array.from({ length: 300 }, (_, index) => file(2 ** 31, index));
    const groups = bundles(large);
    expect(groups.length).toBeLessThanOrEqual(100);
    expect(groups.flat()).toHaveLength(300);
  });

  test("21: the same files give the same digest, whenever they were written", async () => {
    for (const layout of ["bundle", "cog", "image", "modelpack", "parts"] as const) {
      const [one, two] = [
        await layoutOf(layout, withoutEmpty),
        await layoutOf(layout, withoutEmpty),
      ];
      expect(one.root.digest).toBe(two.root.digest);
    }
  });

  test("dests that differ in case only keep their names in every layout", async () => {
    for (const layout of ["cog", "image", "modelpack"] as const) {
      const laid = await layoutOf(layout, { "/w/Model.bin": "1", "/w/model.bin": "2" });
      const names =
        layout === "modelpack"
          ? manifestJson(laid.root).layers.map(
              ({ annotations }) => annotations?.["org.cncf.model.filepath"],
            )
          : (await laid.entriesOf()).map((name) => name.replace("models/", ""));
      expect(names).toEqual(["Model.bin", "model.bin"]);
    }
  });
});
