import { afterEach, describe, expect, test, setDefaultTimeout } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { digestHex, digestOf } from "../../../src/oci/digest.ts";
import type { ContentReader } from "../../../src/oci/content.ts";
import { mediaTypes } from "../../../src/oci/media-types.ts";
import { tarBytes, type TestEntry } from "../../support/store/tar-bytes.ts";
import { engineWith, type FakeEngine, fakeEngine } from "../../support/image/fake-engine.ts";
import {
  exportShapes,
  imageWithRepeatedLayer as image,
  repeatedLayer as shared,
  legacyExport,
  modernExport,
  type SampleImage,
  sampleImage,
  sampleLayer,
} from "../../support/image/sample-image.ts";
import { contentOf, memory, type Workbench, workbench } from "../../support/image/image-bench.ts";
import { failureText } from "../../support/failure.ts";

// Compressing takes its time on a machine that is busy with other tests.
setDefaultTimeout(30_000);

let bench: Workbench;
let engine: FakeEngine;
/** Some tests open more than one. */
const benches: Workbench[] = [];
afterEach(async () => {
  for (const opened of benches.splice(0)) await opened.remove();
  await engine.stop();
});

async function start(starting: Promise<FakeEngine>): Promise<void> {
  engine = await starting;
  bench = await workbench({ DOCKER_HOST: engine.url });
  benches.push(bench);
}

const blob = (bytes: Uint8Array): string => `blobs/sha256/${digestHex(digestOf(bytes))}`;
const exports = () => engine.requests.filter((path) => path.includes("/get"));

/** The layers that were taken from the export and compressed. */
const taken = () =>
  bench.events.flatMap((event) => (event.type === "start" ? [event.item] : [])).length;

describe("an engine's image", () => {
  for (const [tool, shape] of Object.entries(exportShapes)) {
    test(`as exported by ${tool} is the same as from an archive`, async () => {
      await start(engineWith(image, shape));
      const source = await bench.open("docker-daemon:acme/app:dev");
      const content = await contentOf(source);
      expect(Buffer.compare(content.config, image.config)).toBe(0);
      expect(content.layers.map((layer) => digestOf(layer))).toEqual(
        image.layers.map((layer) => digestOf(layer)),
      );
      await Bun.write(`${bench.directory}/image.tar`, tarBytes(...legacyExport(image)));
      const archive = await bench.open("docker-archive:image.tar");
      expect(source.root.digest).toBe(archive.root.digest);
      await archive.close();
      await source.close();
      expect(await bench.temporaries()).toEqual([]);
    });

    test(`of ${tool} that did not change is not exported again`, async () => {
      await start(engineWith(image, shape));
      const { knownLayers, knownConfigs } = memory();
      const known = { knownLayers, configs: knownConfigs };
      const first = await bench.open("docker-daemon:acme/app:dev", known);
      await first.close();
      expect(exports()).toHaveLength(1);
      const second = await bench.open("docker-daemon:acme/app:dev", known);
      expect(second.root.digest).toBe(first.root.digest);
      expect(exports()).toHaveLength(1);
      await second.close();
    });

    test(`of ${tool} with one new layer compresses that one only`, async () => {
      await start(engineWith(image, shape));
      const { knownLayers, knownConfigs, layers } = memory();
      const known = { knownLayers, configs: knownConfigs };
      const first = await bench.open("docker-daemon:acme/app:dev", known);
      await first.close();
      await engine.stop();
      await bench.remove();

      const changed = sampleImage([...image.layers.slice(0, 2), sampleLayer("new code"), shared]);
      await start(engineWith(changed, shape));
      const source = await bench.open("docker-daemon:acme/app:dev", known);
      const newLayer = layers.get(digestOf(sampleLayer("new code")));
      const { layers: listed } = JSON.parse(Buffer.from(source.root.bytes).toString());
      expect(listed[2]).toEqual(newLayer);
      expect(listed[0]).toEqual(layers.get(digestOf(image.layers[0] ?? "")));
      // The one compressed layer: no plain copy is left.
      expect((await bench.temporaries()).filter((path) => path.includes("/"))).toHaveLength(1);
      expect(bench.events).toContainEqual({ type: "phase", phase: "export", items: 4 });
      if (shape !== legacyExport) expect(taken()).toBe(1);
      await source.close();
    });
  }

  test("with containerd's image store keeps its compressed layers", async () => {
    const compressed = image.layers.map((layer) => gzipSync(layer));
    const shape = (): TestEntry[] => [
      ...[...new Map([image.config, ...compressed].map((bytes) => [blob(bytes), bytes]))].map(
        ([name, content]): TestEntry => ({ name, content }),
      ),
      { name: blob(Buffer.from("an attestation")), content: '{"_type":"in-toto"}' },
      {
        name: "manifest.json",
        content: JSON.stringify([{ Config: blob(image.config), Layers: compressed.map(blob) }]),
      },
    ];
    // There an image's ID is the digest of its manifest or index.
    await start(engineWith(image, shape, { id: digestOf("some index") }));
    const { knownLayers, knownConfigs } = memory();
    const known = { knownLayers, configs: knownConfigs };
    for (const expectedLayers of [3, 3]) {
      const source = await bench.open("docker-daemon:acme/app:dev", known);
      expect(JSON.parse(Buffer.from(source.root.bytes).toString()).layers).toEqual(
        compressed.map((layer) => ({
          mediaType: mediaTypes.ociLayerGzip,
          digest: digestOf(layer),
          size: layer.byteLength,
        })),
      );
      // The second time the export's layers are passed over by the name of their blob.
      expect(taken()).toBe(expectedLayers);
      await source.close();
    }
  });

  test("of one platform among several is asked for where the engine knows them apart", async () => {
    const platform = { os: "linux", architecture: "arm64", variant: "v8" };
    await start(engineWith(image, modernExport, { apiVersion: "1.50" }));
    await (await bench.open("docker-daemon:acme/app:dev", { platform })).close();
    const query = `?platform=${encodeURIComponent(JSON.stringify(platform))}`;
    expect(engine.requests).toEqual([
      "/images/acme/app:dev/json",
      `/images/acme/app:dev/json${query}`,
      `/images/${digestOf(image.config)}/get${query}`,
    ]);
    await engine.stop();
    await bench.remove();

    await start(engineWith(image, modernExport, { apiVersion: "1.41" }));
    await (await bench.open("docker-daemon:acme/app:dev", { platform })).close();
    expect(engine.requests.some((path) => path.includes("platform"))).toBe(false);
  });

  test("is found by ID and by a bare name", async () => {
    await start(engineWith(image, modernExport));
    for (const spec of [`docker-daemon:${digestOf(image.config)}`, digestOf(image.config)]) {
      await (await bench.open(spec)).close();
    }
    const bare = await bench.open("acme/app:dev");
    expect(bare.name).toBe("docker-daemon:acme/app:dev");
    await bare.close();
  });

  test("can be given up while it is exported", async () => {
    const stop = new AbortController();
    const reason = new Error("enough");
    await start(
      fakeEngine(({ url = "" }, response) => {
        if (url.endsWith("/json")) {
          response.end(
            JSON.stringify({
              Id: digestOf(image.config),
              RootFS: { Layers: image.layers.map((layer) => digestOf(layer)) },
            }),
          );
          return;
        }
        // Half of an export, and then nothing more for ever.
        response.write(tarBytes(...legacyExport(image)).subarray(0, 1_000_000));
        setTimeout(() => stop.abort(reason), 50);
      }),
    );
    const opening = bench.open("docker-daemon:acme/app:dev", { signal: stop.signal });
    await expect(opening).rejects.toBe(reason);
    expect(await bench.temporaries()).toEqual([]);
  });
});

describe("a bare name that the engine does not have", () => {
  const bytes = Buffer.from('{"schemaVersion":2}');
  const root = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
  const reader = { name: "docker.io/acme/none", readManifest: async () => root };

  test("is asked of its registry", async () => {
    await start(engineWith(image, modernExport));
    const source = await bench.open("acme/none:v1", {
      registryReader: (reference) => {
        expect(reference).toEqual({ host: "docker.io", repository: "acme/none", tag: "v1" });
        return reader as unknown as ContentReader;
      },
    });
    expect(source.name).toBe("docker://docker.io/acme/none:v1");
    expect(source.root).toBe(root);
  });

  test("and no registry has either, says both", async () => {
    await start(engineWith(image, modernExport));
    expect(await failureText(bench.open("acme/none:v1"))).toBe(
      `not_found: image "acme/none:v1": engine at ${engine.url} (DOCKER_HOST): no image "acme/none:v1"; and on its registry: docker.io/acme/none: no such repository`,
    );
  });

  test("and a layout has that name, says how to ask for it", async () => {
    await start(engineWith(image, modernExport));
    await mkdir(join(bench.directory, "llama"));
    await writeFile(join(bench.directory, "llama", "oci-layout"), "{}");
    await expect(bench.open("llama:v1")).rejects.toMatchObject({
      code: "not_found",
      hint: '"llama:v1" was read as a registry reference; use oci:llama:v1 for the local layout',
    });
  });

  test("is asked of its registry when no engine runs", async () => {
    await start(engineWith(image, modernExport));
    await engine.stop();
    const source = await bench.open("acme/none:v1", {
      registryReader: () => reader as unknown as ContentReader,
    });
    expect(source.root).toBe(root);
    const gone = bench.open("acme/none:v1");
    await expect(gone).rejects.toMatchObject({
      code: "not_found",
      hint: "start Docker or Podman, or set DOCKER_HOST",
    });
    // Stopped twice: `afterEach` needs one that runs.
    await start(engineWith(image, modernExport));
  });
});

const answering = (status: number, body: string): Promise<void> =>
  start(
    fakeEngine((_, response) => {
      response.statusCode = status;
      response.end(body);
    }),
  );
const open = (): Promise<string> => failureText(bench.open("docker-daemon:acme/app:dev"));

describe("an engine that is none, or fails", () => {
  test("says what the engine said", async () => {
    await answering(500, '{"message":"the disk\\n is on fire"}');
    expect(await open()).toBe(
      `network: engine at ${engine.url} (DOCKER_HOST): the disk is on fire`,
    );
  });

  test("says the status where the engine said nothing of use", async () => {
    await answering(503, "<html>".repeat(100_000));
    expect(await open()).toBe(`network: engine at ${engine.url} (DOCKER_HOST): status 503`);
  });

  test("is told by an answer that is no description of an image", async () => {
    await answering(200, "<html>");
    expect(await open()).toStartWith(
      "network: docker-daemon:acme/app:dev: the engine's response: ",
    );
  });

  test("is told by an answer without end", async () => {
    await answering(200, `{"Id":"${"x".repeat(5_000_000)}`);
    expect(await open()).toBe(
      "network: docker-daemon:acme/app:dev: the engine's response is too long",
    );
  });

  test("is not there", async () => {
    await answering(200, "");
    await engine.stop();
    expect(await open()).toBe(
      `network: engine at ${engine.url} (DOCKER_HOST): no engine is running`,
    );
    await answering(200, "");
  });
});

const without = (name: RegExp) => (one: SampleImage) =>
  modernExport(one).filter((entry) => !name.test(entry.name));

describe("a broken export", () => {
  const layerHex = digestHex(digestOf(sampleLayer("code")));
  const withLayer = (content: Uint8Array) => (one: SampleImage) =>
    modernExport(one).map((entry) =>
      entry.name.includes(layerHex) ? { ...entry, content } : entry,
    );

  const faults: Record<string, { shape: (one: SampleImage) => TestEntry[]; says: RegExp }> = {
    "without manifest.json": {
      shape: without(/^manifest.json$/),
      says: /^integrity: docker-daemon:acme\/app:dev: the export has no document "manifest.json"$/,
    },
    "without a layer": {
      shape: without(new RegExp(layerHex)),
      says: /^integrity: .*: the export lacks the layer "blobs\/sha256\/[0-9a-f]{64}"$/,
    },
    "with other bytes in a layer": {
      shape: withLayer(sampleLayer("evil")),
      says: /^integrity: .*: layer 3 has the diff ID sha256:.*, but the image config says sha256:/,
    },
    "of another image": {
      shape: () => modernExport(sampleImage([sampleLayer("another")])),
      says: /^integrity: .*: the engine exported a different image$/,
    },
    'with ".." in a path': {
      shape: (one) => [{ name: "../evil", content: "x" }, ...modernExport(one)],
      says: /^file: .*: entry "..\/evil" has ".." in its path$/,
    },
    "that is cut off": {
      shape: (one) => [...modernExport(one), { name: "more.tar", content: "x", size: 10_000_000 }],
      says: /^integrity: .*: entry "more.tar" is truncated/,
    },
    "with documents without end": {
      shape: (one) => [
        ...Array.from({ length: 3 }, (_, at) => ({
          name: `${at}.json`,
          content: `{${" ".repeat(4_000_000)}}`,
        })),
        ...modernExport(one),
      ],
      says: /^file: .*: more than 8388608 bytes of documents$/,
    },
  };
  for (const [what, { shape, says }] of Object.entries(faults)) {
    test(`${what} is refused by name, and leaves nothing behind`, async () => {
      await start(engineWith(image, shape));
      expect(await failureText(bench.open("docker-daemon:acme/app:dev"))).toMatch(says);
      expect(await bench.temporaries()).toEqual([]);
    });
  }

  test("that has an entry twice is taken with the last one, as tar does", async () => {
    await start(
      engineWith(image, (one) => [{ name: "manifest.json", content: "[]" }, ...modernExport(one)]),
    );
    const source = await bench.open("docker-daemon:acme/app:dev");
    expect(Buffer.compare((await contentOf(source)).config, image.config)).toBe(0);
    await source.close();
    expect(bench.events).toContainEqual({
      type: "warning",
      message: expect.stringMatching(/entry "manifest.json" appears more than once; the last one/),
    });
  });

  test("whose connection breaks off is the network's failure", async () => {
    await start(
      fakeEngine(({ url = "" }, response) => {
        if (url.endsWith("/json")) {
          response.end(JSON.stringify({ Id: digestOf(image.config), RootFS: { Layers: [] } }));
          return;
        }
        response.write(tarBytes(...modernExport(image)).subarray(0, 100_000), () =>
          response.destroy(),
        );
      }),
    );
    expect(await failureText(bench.open("docker-daemon:acme/app:dev"))).toBe(
      `network: engine at ${engine.url} (DOCKER_HOST): connection lost`,
    );
    expect(await bench.temporaries()).toEqual([]);
  });
});
