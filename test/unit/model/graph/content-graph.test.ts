import { describe, expect, test } from "bun:test";
import { readGraph } from "../../../../src/model/graph/content-graph.ts";
import type { ContentReader } from "../../../../src/oci/content.ts";
import { type Digest, digestOf } from "../../../../src/oci/digest.ts";
import type { RawManifest } from "../../../../src/oci/manifest.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { failureOf } from "../../../support/failure.ts";
import {
  amd64,
  arm64,
  entryOf,
  layoutBench,
  signal,
  weightsOf,
} from "../../../support/model/layout-bench.ts";

function rawManifest(document: { mediaType: string; [member: string]: unknown }): RawManifest {
  const bytes = new TextEncoder().encode(JSON.stringify(document));
  return { mediaType: document.mediaType, digest: digestOf(bytes), bytes };
}

const embedded = (content: string) => ({
  mediaType: "text/plain",
  digest: digestOf(content),
  size: content.length,
  data: btoa(content),
});

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

  test("is refused for a kind of manifest whose content can't be found", async () => {
    const { layout, manifest, index } = await layoutBench();
    const other = await manifest({ mediaType: "application/vnd.example+json", anything: 1 });
    const error = await failureOf(readGraph(layout, await index(entryOf(other)), signal));
    expect(error.code).toBe("file");
    expect(error.message).toEndWith(
      'manifests of type "application/vnd.example+json" are not supported',
    );
  });

  test("has an entry that is no manifest as a blob", async () => {
    const { layout, image, index, blob } = await layoutBench();
    const one = await image(amd64, "one");
    const { digest, size } = await blob("<a/>");
    const entry = { mediaType: "application/xml", digest, size };
    const { blobs, children } = await readGraph(layout, await index(entryOf(one), entry), signal);
    expect(children.map((child) => child.digest)).toEqual([one.digest]);
    expect(blobs.find(({ descriptor }) => descriptor.digest === digest)?.group).toBe("other");
    const gone = { ...entry, digest: digestOf("gone") };
    const error = await failureOf(readGraph(layout, await index(gone), signal));
    expect(error.code).toBe("not_found");
  });

  test("has what a descriptor carries as data without asking for it", async () => {
    const { layout, manifest } = await layoutBench();
    const root = await manifest({
      mediaType: mediaTypes.ociManifest,
      config: embedded("{}"),
      layers: [embedded("one")],
    });
    const { blobs } = await readGraph(layout, root, signal);
    const sources = await Promise.all(blobs.map(({ source }) => source(signal)));
    const texts = sources.map((source) => source.kind === "bytes" && String(source.bytes));
    expect(texts).toEqual(["{}", "one"]);
  });

  test.each([
    ["an artifact manifest", mediaTypes.ociArtifact, "blobs"],
    ["a manifest of another kind", "application/vnd.example+json", "layers"],
    ["a manifest of another kind with blobs", "application/vnd.example+json", "blobs"],
  ])("has what %s names", async (_, mediaType, member) => {
    const { layout, manifest, blob } = await layoutBench();
    const root = await manifest({ mediaType, [member]: [await blob("one"), await blob("two")] });
    const { blobs } = await readGraph(layout, root, signal);
    expect(blobs.map(({ descriptor }) => descriptor.digest)).toEqual([
      digestOf("one"),
      digestOf("two"),
    ]);
  });

  test("has foreign layers only where the source has them", async () => {
    const { layout, manifest, blob } = await layoutBench();
    const foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    const missing = {
      mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar",
      digest: digestOf("windows"),
      size: 7,
    };
    const image = await manifest({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: await blob("{}", mediaTypes.ociConfig),
      layers: [missing, await blob("there", foreign)],
    });
    const graph = await readGraph(layout, image, signal);
    expect(graph.blobs.map(({ descriptor }) => descriptor.digest)).toEqual([
      digestOf("{}"),
      digestOf("there"),
    ]);
    expect(graph.leftOut).toEqual([missing]);
  });

  test.each([
    ["e30=", "right", true],
    ["e3w=", "other bytes", false],
    ["e30gIA==", "another size", false],
    ["", "nothing", true],
  ])("has embedded content checked: %s is %s", async (data, _, right) => {
    const { layout, manifest, blob } = await layoutBench();
    const root = await manifest({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { ...(await blob("{}", mediaTypes.ociEmpty)), data },
      layers: [],
    });
    const reading = readGraph(layout, root, signal);
    if (right) expect((await reading).blobs).toHaveLength(1);
    else expect((await failureOf(reading)).code).toBe("integrity");
  });

  test("says of each blob what it belongs to, by the index first", async () => {
    const bench = await layoutBench();
    const weights = await weightsOf(bench, "w");
    const root = await bench.index(
      entryOf(await bench.image(amd64, "attestation", "shared"), {
        annotations: { "vnd.docker.reference.type": "attestation-manifest" },
      }),
      entryOf(weights, { annotations: { "vnd.cog.reference.type": "weights" } }),
      entryOf(await bench.image(arm64, "image", "shared"), { platform: arm64 }),
    );
    const { blobs } = await readGraph(bench.layout, root, signal);
    const groups = new Map(blobs.map(({ descriptor, group }) => [descriptor.digest, group]));
    expect(groups.get(digestOf("attestation"))).toBe("other");
    expect(groups.get(digestOf("weights w"))).toBe("weights");
    expect(groups.get(digestOf("image"))).toBe("image");
    expect(groups.get(digestOf("shared"))).toBe("image");
  });

  test("is refused where indexes are nested without end", async () => {
    const { layout, image, index } = await layoutBench();
    let root = await image(amd64, "one");
    for (let depth = 0; depth < 6; depth += 1) root = await index(entryOf(root));
    const error = await failureOf(readGraph(layout, root, signal));
    expect(error.code).toBe("file");
    expect(error.message).toEndWith("indexes are nested more than 4 levels deep");
  });

  test("is refused where an index lists thousands", async () => {
    const manifests = Array.from({ length: 1001 }, (_, number) =>
      rawManifest({ mediaType: "application/vnd.example+json", number, layers: [] }),
    );
    const root = rawManifest({
      mediaType: mediaTypes.ociIndex,
      manifests: manifests.map((manifest) => entryOf(manifest)),
    });
    const byDigest = new Map(manifests.map((manifest) => [manifest.digest, manifest]));
    const { layout } = await layoutBench();
    const reader: ContentReader = {
      ...layout,
      readManifest: async (digest) => byDigest.get(digest as Digest) ?? root,
    };
    expect((await failureOf(readGraph(reader, root, signal))).message).toEndWith(
      "more than 1000 manifests",
    );
  });

  test("is refused before it is read where its manifests are too large for memory", async () => {
    const { layout, index } = await layoutBench();
    const size = 4 * 1024 * 1024;
    const entries = Array.from({ length: 33 }, (_, number) => ({
      mediaType: mediaTypes.ociManifest,
      digest: digestOf(`large ${number}`),
      size,
    }));
    const error = await failureOf(readGraph(layout, await index(...entries), signal));
    expect(error.message).toEndWith("more than 134217728 bytes of manifests");
  });

  test("needs every child", async () => {
    const { layout, index } = await layoutBench();
    const missing = { mediaType: mediaTypes.ociManifest, digest: digestOf("missing"), size: 7 };
    const root = await index(missing);
    expect((await failureOf(readGraph(layout, root, signal))).code).toBe("not_found");
  });
});
