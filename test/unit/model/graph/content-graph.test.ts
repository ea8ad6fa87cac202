import { describe, expect, test } from "bun:test";
import {
  blobsOfManifest,
  readChild,
  readGraph,
} from "../../../../src/model/graph/content-graph.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { failure } from "../bench.ts";
import { amd64, arm64, entryOf, layoutBench, signal } from "../layout-bench.ts";

describe("the graph of a model", () => {
  test("has children before their parents, and every blob once", async () => {
    const { layout, image, index } = await layoutBench();
    const one = await image(amd64, "shared", "one");
    const two = await image(arm64, "shared", "two");
    const inner = await index(entryOf(two, { platform: arm64 }));
    const root = await index(entryOf(one, { platform: amd64 }), entryOf(inner));
    const graph = await readGraph(layout, root, signal);
    expect(graph.children.map(({ digest }) => digest)).toEqual([
      one.digest,
      two.digest,
      inner.digest,
    ]);
    const digests = graph.blobs.map(({ descriptor }) => descriptor.digest);
    expect(new Set(digests).size).toBe(digests.length);
    for (const layer of ["shared", "one", "two"]) expect(digests).toContain(digestOf(layer));
  });

  test("has a child that is listed twice once", async () => {
    const { layout, image, index } = await layoutBench();
    const one = await image(amd64, "one");
    const root = await index(entryOf(one), entryOf(one, { platform: amd64 }));
    expect((await readGraph(layout, root, signal)).children).toHaveLength(1);
  });

  test("ends at an artifact of a kind that is not known", async () => {
    const { layout, manifest, index } = await layoutBench();
    const other = await manifest({ mediaType: "application/vnd.example+json", anything: 1 });
    const root = await index(entryOf(other));
    const graph = await readGraph(layout, root, signal);
    expect(graph.children.map(({ digest }) => digest)).toEqual([other.digest]);
    expect(graph.blobs).toEqual([]);
  });

  test("is refused where indexes are nested without end", async () => {
    const { layout, image, index } = await layoutBench();
    let root = await image(amd64, "one");
    for (let depth = 0; depth < 6; depth += 1) root = await index(entryOf(root));
    const error = await failure(readGraph(layout, root, signal));
    expect(error.code).toBe("file");
    expect(error.message).toEndWith("indexes are nested more than 4 deep");
  });

  test("is refused where an index lists thousands", async () => {
    const { layout, manifest, index } = await layoutBench();
    const entries = await Promise.all(
      Array.from({ length: 1001 }, (_, number) =>
        manifest({ mediaType: "application/vnd.example+json", number }),
      ),
    );
    const root = await index(...entries.map((entry) => entryOf(entry)));
    expect((await failure(readGraph(layout, root, signal))).message).toEndWith(
      "more than 1000 manifests",
    );
  }, 30_000);

  test("needs every child", async () => {
    const { layout, index } = await layoutBench();
    const missing = { mediaType: mediaTypes.ociManifest, digest: digestOf("missing"), size: 7 };
    const root = await index(missing);
    expect((await failure(readGraph(layout, root, signal))).code).toBe("not_found");
  });
});

describe("a child", () => {
  test("has the size that its index says", async () => {
    const { layout, image } = await layoutBench();
    const one = await image(amd64, "one");
    const size = one.bytes.byteLength + 1;
    const error = await failure(readChild(layout, entryOf(one, { size }), signal));
    expect(error.code).toBe("integrity");
    expect(error.message).toEndWith(`has ${one.bytes.byteLength} bytes, its index says ${size}`);
  });
});

describe("the blobs of a manifest", () => {
  test("are named after the weights that they hold", async () => {
    const { layout, manifest, blob } = await layoutBench();
    const weights = await manifest({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      artifactType: "application/vnd.cog.weights.v1",
      config: await blob("{}", mediaTypes.ociEmpty),
      layers: [
        {
          ...(await blob("weights")),
          annotations: { "vnd.cog.weights.name": 'llama "8b"' },
        },
      ],
    });
    const blobs = blobsOfManifest(layout, weights);
    expect(blobs.map(({ label }) => label)).toEqual([
      "config sha256:44136fa355b3",
      String.raw`weight "llama \"8b\""`,
    ]);
    expect(blobs.map(({ group }) => group)).toEqual(["weights", "weights"]);
  });

  test("leave out layers that no registry may hold", async () => {
    const { layout, manifest, blob } = await layoutBench();
    const foreign = {
      mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
      digest: digestOf("windows"),
      size: 7,
      urls: ["https://example.com/layer"],
    };
    const image = await manifest({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: await blob("{}", mediaTypes.ociConfig),
      layers: [foreign, await blob("own")],
    });
    const digests = blobsOfManifest(layout, image).map(({ descriptor }) => descriptor.digest);
    expect(digests).toEqual([digestOf("{}"), digestOf("own")]);
  });
});
