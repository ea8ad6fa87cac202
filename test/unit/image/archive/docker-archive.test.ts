import { afterEach, beforeEach, describe, expect, test, setDefaultTimeout } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { digestHex, digestOf } from "../../../../src/oci/digest.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { tarBytes, type TestEntry } from "../../../support/store/tar-bytes.ts";
import {
  exportShapes,
  imageWithRepeatedLayer as image,
  legacyExport,
  sampleImage,
  sampleLayer,
} from "../../../support/image/sample-image.ts";
import {
  contentOf,
  memory,
  type Workbench,
  workbench,
} from "../../../support/image/image-bench.ts";
import { failureText } from "../../../support/failure.ts";

// Compressing takes its time on a machine that is busy with other tests.
setDefaultTimeout(30_000);

let bench: Workbench;
beforeEach(async () => {
  bench = await workbench();
});
afterEach(() => bench.remove());

const save = (...entries: readonly TestEntry[]) =>
  writeFile(join(bench.directory, "image.tar"), tarBytes(...entries));

describe("a docker archive", () => {
  for (const [tool, shape] of Object.entries(exportShapes)) {
    test(`of ${tool} gives the image: its config untouched, its layers by their diff IDs`, async () => {
      await save(...shape(image));
      const source = await bench.open("docker-archive:image.tar");
      expect(source.root.mediaType).toBe(mediaTypes.ociManifest);
      const content = await contentOf(source);
      expect(Buffer.compare(content.config, image.config)).toBe(0);
      expect(content.layers.map((layer) => digestOf(layer))).toEqual(
        image.layers.map((layer) => digestOf(layer)),
      );
      expect(
        content.descriptors.every(({ mediaType }) => mediaType === mediaTypes.ociLayerGzip),
      ).toBe(true);
      await source.close();
      expect(await bench.temporaries()).toEqual([]);
    });
  }

  test("gives the same manifest however it was saved, and each time", async () => {
    const digests = new Set<string>();
    for (const shape of [...Object.values(exportShapes), legacyExport]) {
      await save(...shape(image));
      const source = await bench.open("docker-archive:image.tar");
      digests.add(source.root.digest);
      await source.close();
    }
    expect(digests.size).toBe(1);
  });

  for (const [codec, compress] of [
    ["gzip", gzipSync],
    ["zstd", zstdCompressSync],
  ] as const) {
    test(`with ${codec} layers keeps them as they are, where they are`, async () => {
      const compressed = image.layers.map((layer) => compress(layer));
      const blobs = new Map(
        compressed.map((layer) => [`${digestHex(digestOf(layer))}.tar`, layer]),
      );
      await save(
        ...[...blobs].map(([name, content]): TestEntry => ({ name, content })),
        { name: "config.json", content: image.config },
        {
          name: "manifest.json",
          content: JSON.stringify([
            {
              Config: "config.json",
              Layers: compressed.map((layer) => `${digestHex(digestOf(layer))}.tar`),
            },
          ]),
        },
      );
      const source = await bench.open("docker-archive:image.tar");
      expect(JSON.parse(Buffer.from(source.root.bytes).toString()).layers).toEqual(
        compressed.map((layer) => ({
          mediaType: `${mediaTypes.ociLayer}+${codec}`,
          digest: digestOf(layer),
          size: layer.byteLength,
        })),
      );
      expect(await bench.temporaries()).toEqual([]);
      await source.close();
    });

    test(`that is itself compressed with ${codec} is read`, async () => {
      await writeFile(
        join(bench.directory, "image.tar.x"),
        compress(tarBytes(...legacyExport(image))),
      );
      const source = await bench.open("docker-archive:image.tar.x");
      expect((await contentOf(source)).layers).toHaveLength(4);
      await source.close();
      expect(await bench.temporaries()).toEqual([]);
    });

    test(`compressed with ${codec} and damaged is refused`, async () => {
      const bytes = Buffer.from(compress(tarBytes(...legacyExport(image))));
      await writeFile(join(bench.directory, "image.tar.x"), bytes.fill(0xff, 20, 60));
      expect(await failureText(bench.open("docker-archive:image.tar.x"))).toBe(
        `integrity: docker-archive:image.tar.x: the ${codec} data is damaged`,
      );
      expect(await bench.temporaries()).toEqual([]);
    });
  }

  test("is not compressed where the target has the layers already", async () => {
    await save(...legacyExport(image));
    const { knownLayers, layers } = memory();
    const first = await bench.open("docker-archive:image.tar", { knownLayers });
    await first.close();
    expect([...layers.keys()].toSorted()).toEqual(
      [...new Set(image.layers.map((layer) => digestOf(layer)))].toSorted(),
    );

    const second = await bench.open("docker-archive:image.tar", { knownLayers });
    expect(second.root.digest).toBe(first.root.digest);
    expect(await bench.temporaries()).toEqual([]);
    // The target is asked again before a blob is sent; that it lost one meanwhile is said.
    const [descriptor] = layers.values();
    if (descriptor === undefined) throw new Error("nothing was recorded");
    const { signal } = new AbortController();
    expect(await second.reader.hasBlob(descriptor, signal)).toBe(false);
    expect(await failureText(second.reader.blobSource(descriptor, signal))).toMatch(
      /^not_found: .* the registry no longer has layer sha256:[0-9a-f]{12}$/,
    );
    await second.close();
  });

  test("keeps a Windows layer that is fetched from elsewhere as it is", async () => {
    const descriptor = {
      mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
      digest: digestOf("compressed base"),
      size: 15,
      urls: ["https://example.com/base.tar.gz"],
    };
    const base = digestOf("base");
    const [code] = [sampleLayer("code")];
    const config = Buffer.from(
      JSON.stringify({
        os: "windows",
        architecture: "amd64",
        rootfs: { type: "layers", diff_ids: [base, digestOf(code)] },
      }),
    );
    await save(
      { name: "code/layer.tar", content: code },
      { name: "config.json", content: config },
      {
        name: "manifest.json",
        content: JSON.stringify([
          {
            Config: "config.json",
            Layers: ["base/layer.tar", "code/layer.tar"],
            LayerSources: { [base]: descriptor },
          },
        ]),
      },
    );
    const source = await bench.open("docker-archive:image.tar");
    expect(JSON.parse(Buffer.from(source.root.bytes).toString()).layers[0]).toEqual(descriptor);
    await source.close();
  });
});

describe("a docker archive of several images", () => {
  const other = sampleImage([sampleLayer("other")], "acme/other:latest");
  const both = (): TestEntry[] => {
    const manifests = [image, other].map((one) => {
      const entries = legacyExport(one);
      return JSON.parse(String(entries.find(({ name }) => name === "manifest.json")?.content))[0];
    });
    // The second image's layer directory must not be the first's.
    manifests[1].Layers = ["other/layer.tar"];
    return [
      ...legacyExport(image).filter(({ name }) => name !== "manifest.json"),
      { name: "other/layer.tar", content: other.layers[0] ?? "" },
      { name: manifests[1].Config, content: other.config },
      { name: "manifest.json", content: JSON.stringify(manifests) },
    ];
  };

  test("gives the one that is named, its tag and host left out or not", async () => {
    await save(...both());
    for (const name of ["acme/other", "acme/other:latest", "docker.io/acme/other"]) {
      const source = await bench.open(`docker-archive:image.tar:${name}`);
      expect(Buffer.compare((await contentOf(source)).config, other.config)).toBe(0);
      await source.close();
    }
  });

  test("takes the last of two that have one name, as docker load does", async () => {
    const images = both();
    const manifest = images.find(({ name }) => name === "manifest.json");
    const listed = JSON.parse(String(manifest?.content)) as { RepoTags: string[] | null }[];
    for (const entry of listed) entry.RepoTags = ["acme/app:latest"];
    const rest = images.filter(({ name }) => name !== "manifest.json");
    await save(...rest, { name: "manifest.json", content: JSON.stringify(listed) });
    const source = await bench.open("docker-archive:image.tar:acme/app");
    expect(Buffer.compare((await contentOf(source)).config, other.config)).toBe(0);
    await source.close();
  });

  test("needs no name where all entries are of one image, named or not", async () => {
    const images = legacyExport(image);
    const manifest = images.find(({ name }) => name === "manifest.json");
    const [entry] = JSON.parse(String(manifest?.content));
    const listed = [entry, { ...entry, RepoTags: null }, { ...entry, RepoTags: ["acme/x:y"] }];
    const rest = images.filter(({ name }) => name !== "manifest.json");
    await save(...rest, { name: "manifest.json", content: JSON.stringify(listed) });
    const source = await bench.open("docker-archive:image.tar");
    expect(Buffer.compare((await contentOf(source)).config, image.config)).toBe(0);
    await source.close();
  });

  test("asks for a name, and says which there are", async () => {
    await save(...both());
    const unnamed = bench.open("docker-archive:image.tar");
    await expect(unnamed).rejects.toMatchObject({
      code: "usage",
      message: "docker-archive:image.tar: 2 images, but no name was specified",
      hint: "use one of acme/app:dev, acme/other:latest",
    });
    expect(await failureText(bench.open("docker-archive:image.tar:acme/none"))).toBe(
      'not_found: docker-archive:image.tar:docker.io/acme/none:latest: no image "docker.io/acme/none:latest"',
    );
  });
});

/** What Docker saved of the image, with entries of some names changed or left out. */
const change = (name: RegExp, changed: (entry: TestEntry) => TestEntry | undefined): TestEntry[] =>
  legacyExport(image).flatMap((entry) => {
    const after = name.test(entry.name) ? changed(entry) : entry;
    return after === undefined ? [] : [after];
  });

describe("a broken docker archive", () => {
  const configName = `${digestHex(digestOf(image.config))}.json`;
  const firstLayer = new RegExp(`^${digestHex(digestOf("chain 0"))}/layer.tar$`);
  const manifest = (document: unknown) =>
    change(/^manifest.json$/, (entry) => ({ ...entry, content: JSON.stringify(document) }));

  const faults: Record<string, { entries: TestEntry[]; says: RegExp }> = {
    "without a manifest.json": {
      entries: change(/^manifest.json$/, () => undefined),
      says: /^file: .*: not a docker archive: no file "manifest.json"$/,
    },
    "with a manifest.json that is no JSON": {
      entries: change(/^manifest.json$/, (entry) => ({ ...entry, content: "<html>" })),
      says: /^file: .*: manifest.json: not a JSON document$/,
    },
    "with a manifest.json of the wrong shape": {
      entries: manifest([{ Config: 7, Layers: [] }]),
      says: /^file: .*: manifest.json: 0.Config: /,
    },
    "with no image in it": {
      entries: manifest([]),
      says: /^not_found: .*: no image$/,
    },
    "without the config": {
      entries: change(new RegExp(`^${configName}$`), () => undefined),
      says: /^integrity: .*: manifest.json lists "[0-9a-f]{64}.json", which is missing$/,
    },
    "with another config under its name": {
      entries: change(new RegExp(`^${configName}$`), (entry) => ({
        ...entry,
        content: `${image.config.toString()} `,
      })),
      says: /^integrity: .*: the config "[0-9a-f]{64}.json" does not have the digest sha256:/,
    },
    "with a config that is none": {
      entries: [
        ...manifest([{ Config: "c.json", Layers: [] }]),
        { name: "c.json", content: '{"rootfs":{"diff_ids":["x"]}}' },
      ],
      says: /^file: .*: image config: rootfs.diff_ids.0: must be a digest/,
    },
    "without a layer": {
      entries: change(firstLayer, () => undefined),
      says: /^integrity: .*: manifest.json lists ".*\/layer.tar", which is missing$/,
    },
    "with other bytes in a layer": {
      entries: change(firstLayer, (entry) => ({ ...entry, content: sampleLayer("evil") })),
      says: /^integrity: .*: layer 1 has the diff ID sha256:[0-9a-f]{12}, but the image config says sha256:/,
    },
    "with fewer layers than its config": {
      entries: manifest([{ Config: configName, Layers: [] }]),
      says: /^integrity: .*: manifest.json lists 0 layers, but the image config lists 4$/,
    },
    "with a layer that leaves the archive": {
      entries: manifest([{ Config: configName, Layers: Array(4).fill("../../etc/passwd") }]),
      says: /^file: .*: entry "..\/..\/etc\/passwd" has ".." in its path$/,
    },
    "with a link out, expected a layer": {
      entries: change(firstLayer, ({ name }) => ({
        name,
        type: "SymbolicLink",
        target: "../../../etc/passwd",
      })),
      says: /^file: .*\/layer.tar" links to "..\/..\/..\/etc\/passwd", which is outside the archive$/,
    },
    "with a layer in xz": {
      entries: change(firstLayer, (entry) => ({
        ...entry,
        content: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 1, 2]),
      })),
      says: /^file: .*: layer ".*": compressed with xz$/,
    },
    "with a gzip layer that is damaged": {
      entries: change(firstLayer, (entry) => ({
        ...entry,
        content: gzipSync(sampleLayer("x")).subarray(0, 40),
      })),
      says: /^integrity: .*: layer ".*": the gzip data is damaged$/,
    },
  };
  for (const [what, { entries, says }] of Object.entries(faults)) {
    test(`${what} is refused by name, and leaves nothing behind`, async () => {
      await save(...entries);
      expect(await failureText(bench.open("docker-archive:image.tar"))).toMatch(says);
      expect(await bench.temporaries()).toEqual([]);
    });
  }

  test("does not make a wrong layer known", async () => {
    const entries = change(firstLayer, (entry) => ({ ...entry, content: sampleLayer("evil") }));
    await save(...entries);
    const { knownLayers, layers } = memory();
    await failureText(bench.open("docker-archive:image.tar", { knownLayers }));
    expect(layers.has(digestOf(image.layers[0] ?? ""))).toBe(false);
    expect(layers.has(digestOf(sampleLayer("evil")))).toBe(false);
  });
});
