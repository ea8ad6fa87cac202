import { expect, test } from "bun:test";
import { digestOf } from "../../../src/oci/digest.ts";
import { membersOf } from "../../../src/oci/manifest-members.ts";
import { type SizeOf, withSizes } from "../../../src/oci/manifest-sizes.ts";
import type { RawManifest } from "../../../src/oci/manifest.ts";
import { mediaTypes } from "../../../src/oci/media-types.ts";
import { registryReader } from "../../../src/registry/reader.ts";
import { never } from "../../support/registry/scripted-server.ts";
import { scripted } from "../../support/registry/registry-client.ts";

const raw = (document: object): RawManifest => {
  const mediaType = "manifests" in document ? mediaTypes.ociIndex : mediaTypes.ociManifest;
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...document }));
  return { mediaType, digest: digestOf(bytes), bytes };
};

const config = { mediaType: mediaTypes.ociConfig, digest: digestOf("{}"), size: 2 };
const layer = (text: string, more: object = {}) => ({
  mediaType: mediaTypes.ociLayer,
  digest: digestOf(text),
  size: text.length,
  ...more,
});

test("nothing is asked of a manifest that has all sizes, nor of what has no digest that is known", async () => {
  const asked: string[] = [];
  const sizeOf: SizeOf = (digest) => {
    asked.push(digest);
    return Promise.resolve(1);
  };
  const whole = raw({ config, layers: [layer("a")], annotations: { '"digest": "x"': "x" } });
  expect(await withSizes(whole, sizeOf, never)).toBe(whole);
  for (const layers of [[null], [{ digest: 7 }], [{ digest: "md5:1" }], ["digest"], 7]) {
    await withSizes(raw({ config, layers }), sizeOf, never);
  }
  expect(asked).toEqual([]);
});

test("sizes that are left out are asked for by kind, and the rest stays as it is", async () => {
  const asked: [string, string][] = [];
  const sizeOf: SizeOf = (digest, kind) => {
    asked.push([digest, kind]);
    return Promise.resolve(digest === digestOf("b") ? 5 : undefined);
  };
  const image = raw({
    config,
    layers: [layer("a"), layer("b", { size: null }), layer("b", { size: undefined, Size: null })],
  });
  const sized = await withSizes(image, sizeOf, never);
  expect(sized.bytes).toBe(image.bytes);
  expect(membersOf(sized, "it").layers.map(({ size }) => size)).toEqual([1, 5, 5]);
  expect(asked).toEqual([[digestOf("b"), "blob"]]);

  const index = raw({ manifests: [{ ...config, size: undefined }] });
  await withSizes(index, sizeOf, never);
  expect(asked.at(-1)).toEqual([config.digest, "manifest"]);
  // What nobody knows is missing, as before.
  const lost = raw({ config, layers: [layer("lost", { size: null })] });
  const unknown = await withSizes(lost, sizeOf, never);
  expect(() => membersOf(unknown, "it")).toThrow("it: layers.0.size: is missing");
});

test("a manifest without thousands of sizes is not asked about", async () => {
  const layers = Array.from({ length: 1001 }, (_, at) => layer(String(at), { size: null }));
  const many = raw({ config, layers });
  expect(await withSizes(many, () => Promise.reject(new Error("asked")), never)).toBe(many);
});

test("a registry is asked with HEAD", async () => {
  const image = raw({ config, layers: [layer("b", { size: null })] });
  await using server = scripted(({ method, path }) =>
    path.includes("/blobs/")
      ? new Response(null, { status: 200, headers: { "content-length": "7" } })
      : new Response(method === "HEAD" ? null : new Uint8Array(image.bytes), {
          headers: { "content-type": image.mediaType },
        }),
  );
  const sized = await registryReader(server.repository).readManifest("v1", never);
  expect(sized.sizes).toEqual(new Map([[digestOf("b"), 7]]));
  expect(server.seen.map(({ method }) => method)).toEqual(["GET", "HEAD"]);
});
