import { describe, expect, test } from "bun:test";
import { mediaTypes } from "../../../../../src/oci/media-types.ts";
import {
  type Client,
  describing,
  digestFor,
  imageOf,
  registry,
} from "../../../../support/registry/embedded-client.ts";

/** A registry that has what `image` names. */
async function withContent(): Promise<Client> {
  const client = await registry();
  await client.blob("a", "{}");
  await client.blob("a", "layer");
  return client;
}
const image = imageOf("{}", "layer");
const bytes = JSON.stringify(image);
const digest = digestFor(bytes);

const indexOf = (...manifests: object[]) => ({
  schemaVersion: 2,
  mediaType: mediaTypes.ociIndex,
  manifests: manifests.map((manifest) =>
    describing(JSON.stringify(manifest), mediaTypes.ociManifest),
  ),
});

describe("a manifest", () => {
  test("is answered by tag and by digest with the bytes and the type it was pushed with", async () => {
    const { manifest, send } = await withContent();
    const put = await manifest("a", "v1", image);
    expect(put.status).toBe(201);
    expect(put.headers.get("Docker-Content-Digest")).toBe(digest);
    expect(put.headers.get("Location")).toBe("/v2/a/manifests/v1");
    for (const reference of ["v1", digest]) {
      const response = await send("GET", `/v2/a/manifests/${reference}`);
      expect(response.status).toBe(200);
      expect(response.headers.get("Content-Type")).toBe(mediaTypes.ociManifest);
      expect(response.headers.get("Docker-Content-Digest")).toBe(digest);
      expect(await response.text()).toBe(bytes);
      const head = await send("HEAD", `/v2/a/manifests/${reference}`);
      expect(head.headers.get("Content-Length")).toBe(String(bytes.length));
      expect(head.headers.get("Docker-Content-Digest")).toBe(digest);
    }
  });

  test("is kept byte for byte, however it is spaced", async () => {
    const { send } = await withContent();
    const spaced = `${JSON.stringify(image, null, 4)}\n\n`;
    const headers = { "Content-Type": mediaTypes.ociManifest };
    expect((await send("PUT", "/v2/a/manifests/v1", spaced, headers)).status).toBe(201);
    expect(await (await send("GET", "/v2/a/manifests/v1")).text()).toBe(spaced);
  });

  test("moves its tag", async () => {
    const { manifest, send } = await withContent();
    await manifest("a", "v1", image);
    const other = imageOf("{}");
    await manifest("a", "v1", other);
    const found = await send("HEAD", "/v2/a/manifests/v1");
    expect(found.headers.get("Docker-Content-Digest")).toBe(digestFor(JSON.stringify(other)));
    expect((await send("HEAD", `/v2/a/manifests/${digest}`)).status).toBe(200);
  });

  test("pushed by digest can be given tags with it", async () => {
    const { send } = await withContent();
    const path = `/v2/a/manifests/${digest}?tag=one&tag=two`;
    const response = await send("PUT", path, bytes, { "Content-Type": mediaTypes.ociManifest });
    expect(response.status).toBe(201);
    expect(response.headers.get("OCI-Tag")).toBe("one, two");
    expect((await send("HEAD", "/v2/a/manifests/two")).status).toBe(200);
  });

  test("under another digest is refused", async () => {
    const { send, codes } = await withContent();
    const response = await send("PUT", `/v2/a/manifests/${digestFor("x")}`, bytes, {
      "Content-Type": mediaTypes.ociManifest,
    });
    expect(response.status).toBe(400);
    expect(await codes(response)).toEqual(["DIGEST_INVALID"]);
  });

  test("that names what is not there is refused, with each named", async () => {
    const { manifest, codes } = await registry();
    const response = await manifest("a", "v1", image);
    expect(response.status).toBe(400);
    expect(await codes(response)).toEqual(["MANIFEST_BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"]);
  });

  test("may name layers that are fetched from elsewhere", async () => {
    const { blob, manifest } = await registry();
    await blob("a", "{}");
    const layers = [
      { ...describing("x", mediaTypes.ociLayer), urls: ["https://example.com/x"] },
      describing("y", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
      describing("z", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
    ];
    expect((await manifest("a", "v1", { ...imageOf("{}"), layers })).status).toBe(201);
  });

  test("that says another size of a layer than it has is refused", async () => {
    const { manifest, codes } = await withContent();
    const layers = [{ ...describing("layer", mediaTypes.ociLayer), size: 6 }];
    const response = await manifest("a", "v1", { ...image, layers });
    expect(response.status).toBe(400);
    expect(await codes(response)).toEqual(["MANIFEST_INVALID"]);
  });

  test.each([
    ["not JSON", "{"],
    ["a list", "[]"],
    ["without a config", JSON.stringify({ schemaVersion: 2, layers: [] })],
    [
      "of another type than its header",
      JSON.stringify({ ...image, mediaType: mediaTypes.ociIndex }),
    ],
    [
      "with a config that is no descriptor",
      JSON.stringify({ ...image, config: { digest: "../../x" } }),
    ],
    ["empty", ""],
  ])("%s is refused", async (_, body) => {
    const { send, codes } = await withContent();
    const headers = { "Content-Type": mediaTypes.ociManifest };
    const response = await send("PUT", "/v2/a/manifests/v1", body, headers);
    expect(response.status).toBe(400);
    expect(await codes(response)).toEqual(["MANIFEST_INVALID"]);
    expect((await send("HEAD", "/v2/a/manifests/v1")).status).toBe(404);
  });

  test("of a type that is not known here is taken as it is", async () => {
    const { manifest, send } = await registry();
    const other = { mediaType: "application/vnd.example.thing+json", anything: [1, 2] };
    expect((await manifest("a", "v1", other)).status).toBe(201);
    const response = await send("GET", "/v2/a/manifests/v1");
    expect(response.headers.get("Content-Type")).toBe("application/vnd.example.thing+json");
  });

  test.each([".hidden", "-v1", "a".repeat(129), "a%20b"])("can't be tagged %s", async (tag) => {
    const { send } = await withContent();
    const headers = { "Content-Type": mediaTypes.ociManifest };
    expect((await send("PUT", `/v2/a/manifests/${tag}`, bytes, headers)).status).toBe(400);
    expect((await send("GET", `/v2/a/manifests/${tag}`)).status).toBe(404);
    expect((await send("DELETE", `/v2/a/manifests/${tag}`)).status).toBe(404);
  });

  test("over 4 MiB is refused, with and without a Content-Length", async () => {
    const { send, codes } = await withContent();
    const large = new Uint8Array(4 * 1024 * 1024 + 1).fill(32);
    for (const body of [large, new Blob([large]).stream()]) {
      const headers = { "Content-Type": mediaTypes.ociManifest };
      const response = await send("PUT", "/v2/a/manifests/v1", body, headers);
      expect(response.status).toBe(413);
      expect(await codes(response)).toEqual(["SIZE_INVALID"]);
    }
  });

  test("of 4 MiB is taken", async () => {
    const { send } = await withContent();
    const large = bytes.padEnd(4 * 1024 * 1024, " ");
    const headers = { "Content-Type": mediaTypes.ociManifest };
    expect((await send("PUT", "/v2/a/manifests/v1", large, headers)).status).toBe(201);
    expect(await (await send("GET", "/v2/a/manifests/v1")).text()).toBe(large);
  });

  test("deleted by tag loses the tag, by digest everything", async () => {
    const { manifest, send, codes } = await withContent();
    await manifest("a", "v1", image);
    await manifest("a", "v2", image);
    await manifest("a", "other", imageOf("{}"));
    expect((await send("DELETE", "/v2/a/manifests/v1")).status).toBe(202);
    expect((await send("HEAD", "/v2/a/manifests/v1")).status).toBe(404);
    expect((await send("HEAD", "/v2/a/manifests/v2")).status).toBe(200);
    expect((await send("DELETE", `/v2/a/manifests/${digest}`)).status).toBe(202);
    expect((await send("HEAD", `/v2/a/manifests/${digest}`)).status).toBe(404);
    expect((await send("HEAD", "/v2/a/manifests/v2")).status).toBe(404);
    expect((await send("HEAD", "/v2/a/manifests/other")).status).toBe(200);
    const again = await send("DELETE", `/v2/a/manifests/${digest}`);
    expect([again.status, await codes(again)]).toEqual([404, ["MANIFEST_UNKNOWN"]]);
  });
});

describe("an index", () => {
  test("needs its children, in its repository", async () => {
    const { manifest, codes } = await withContent();
    const refused = await manifest("a", "v1", indexOf(image));
    expect([refused.status, await codes(refused)]).toEqual([400, ["MANIFEST_BLOB_UNKNOWN"]]);
    await manifest("a", undefined, image);
    expect((await manifest("a", "v1", indexOf(image))).status).toBe(201);
    expect((await manifest("b", "v1", indexOf(image))).status).toBe(400);
  });

  test("may be empty", async () => {
    const { manifest } = await registry();
    expect((await manifest("a", "v1", indexOf())).status).toBe(201);
  });
});
