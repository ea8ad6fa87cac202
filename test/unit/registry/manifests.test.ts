import { describe, expect, test } from "bun:test";
import { digestOf } from "../../../src/oci/digest.ts";
import { mediaTypes } from "../../../src/oci/media-types.ts";
import { never, serveBytes } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";
import {
  blobOf,
  manifestOf,
  refusal,
  repositoryAt,
  scripted,
} from "../../support/registry/registry-client.ts";

const manifest = manifestOf({ config: blobOf("{}"), layers: [] });
const { digest } = manifest;

const answered = (headers: Record<string, string> = {}, body = manifest.bytes): Response =>
  new Response(new Uint8Array(body), {
    headers: { "content-type": manifest.mediaType, ...headers },
  });

/** The manifest with so many bytes of white space behind it. */
const padded = (size: number) => Buffer.concat([manifest.bytes, Buffer.alloc(size, " ")]);

describe("getting a manifest", () => {
  test("asks for every kind that is read here", async () => {
    await using server = scripted(() => answered());
    await server.repository.getManifest("v1", never);
    for (const kind of [
      "ociManifest",
      "ociIndex",
      "dockerManifest",
      "dockerManifestList",
    ] as const) {
      expect(server.seen[0]?.headers.get("accept")).toContain(mediaTypes[kind]);
    }
    expect(server.seen[0]?.path).toBe("/v2/acme/llama/manifests/v1");
  });

  test("keeps the bytes, and digests them where the registry does not", async () => {
    await using server = scripted(() => answered());
    expect(await server.repository.getManifest("v1", never)).toEqual(manifest);
  });

  test("takes more bytes than are written, as other clients do, up to a limit", async () => {
    await using server = scripted(({ path }) =>
      answered({}, padded((path.endsWith("/large") ? 7.9 : 8) * 1024 * 1024)),
    );
    const large = await server.repository.getManifest("large", never);
    expect(large.bytes.byteLength).toBeGreaterThan(7 * 1024 * 1024);
    expect(await errorOf(server.repository.getManifest("larger", never))).toMatchObject({
      code: "network",
      message: expect.stringContaining("the response is larger than 8388608 bytes") as string,
    });
  });

  test("of other bytes than the digest asked for is an integrity error", async () => {
    await using server = scripted(() => answered({}, manifestOf({ other: 1 }).bytes));
    const failure = await errorOf(server.repository.getManifest(digest, never));
    expect(failure).toMatchObject({ code: "integrity" });
    expect(failure.message).toContain(digest);
    expect(server.seen[0]?.path).toBe(`/v2/acme/llama/manifests/${digest}`);
  });

  test("of other bytes than the digest the registry names is an integrity error", async () => {
    await using server = scripted(({ path }) =>
      path.endsWith("/v1")
        ? answered({ "docker-content-digest": digestOf("other") })
        : refusal(404, "MANIFEST_UNKNOWN"),
    );
    expect(await errorOf(server.repository.getManifest("v1", never))).toMatchObject({
      code: "integrity",
    });
  });

  test("that the registry has by their digest are right, and its header is wrong", async () => {
    await using server = scripted(() => answered({ "docker-content-digest": digestOf("other") }));
    const { path } = { path: `/v2/acme/llama/manifests/${manifest.digest}` };
    expect(await server.repository.getManifest("v1", never)).toEqual(manifest);
    expect(server.seen.map((request) => request.path)).toEqual([
      "/v2/acme/llama/manifests/v1",
      path,
    ]);
  });

  test.each([
    [{ schemaVersion: 2, config: blobOf("{}"), layers: null }, mediaTypes.ociManifest],
    [{ schemaVersion: 2, layers: [] }, mediaTypes.ociManifest],
    [{ schemaVersion: 2, manifests: [] }, mediaTypes.ociIndex],
    [{ artifactType: "a/b", blobs: [] }, mediaTypes.ociArtifact],
    [
      { mediaType: `${mediaTypes.ociIndex.toUpperCase()}; x=y`, manifests: [] },
      mediaTypes.ociIndex,
    ],
  ])("tells its kind by its members where nothing else does: %j", async (document, type) => {
    const body = new TextEncoder().encode(JSON.stringify(document));
    await using server = scripted(() => answered({ "content-type": "application/json" }, body));
    expect((await server.repository.getManifest("v1", never)).mediaType).toBe(type);
  });

  test.each(["application/vnd.docker.distribution.manifest.v1+prettyjws", "application/json"])(
    "of Docker's schema 1 is refused by its type, behind %s",
    async (type) => {
      const body = new TextEncoder().encode(
        JSON.stringify({ schemaVersion: 1, fsLayers: [{ blobSum: digest }], signatures: [] }),
      );
      await using server = scripted(() => answered({ "content-type": type }, body));
      expect(await errorOf(server.repository.getManifest(digest, never))).toMatchObject({
        code: "file",
        message: expect.stringContaining("distribution.manifest.v1+prettyjws"),
      });
    },
  );

  test.each(["text/plain; charset=utf-8", "application/json", "nonsense"])(
    "takes the media type from the document where the header is %p",
    async (type) => {
      await using server = scripted(() => answered({ "content-type": type }));
      expect((await server.repository.getManifest("v1", never)).mediaType).toBe(manifest.mediaType);
    },
  );

  test.each([429, 500, 503])("tries again after %d", async (status) => {
    await using server = scripted((_, count) =>
      count < 3 ? refusal(status, "TOOMANYREQUESTS") : answered(),
    );
    expect(await server.repository.getManifest("v1", never)).toEqual(manifest);
  });
});

describe("a manifest that breaks off", () => {
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${manifest.bytes.byteLength}\r\n\r\n`;
  const text = new TextDecoder().decode(manifest.bytes);

  test("is asked for again", async () => {
    let connections = 0;
    await using server = serveBytes((socket) => {
      connections++;
      socket.end(head + (connections < 3 ? text.slice(0, 20) : text));
    });
    expect(await repositoryAt(server.host).getManifest("v1", never)).toEqual(manifest);
    expect(connections).toBe(3);
  });

  test("again and again is an error that names it", async () => {
    await using server = serveBytes((socket) => socket.end(head + text.slice(0, 20)));
    const failure = await errorOf(repositoryAt(server.host).getManifest("v1", never));
    expect(failure).toMatchObject({ code: "network" });
    expect(failure.message).toStartWith(`${server.host}/acme/llama: manifest "v1": the connection`);
  });
});

describe("asking for a manifest's head", () => {
  test("is enough where it is whole", async () => {
    await using server = scripted(() => answered({ "docker-content-digest": digest }));
    const { mediaType, bytes } = manifest;
    expect(await server.repository.headManifest("v1", never)).toEqual({
      mediaType,
      digest,
      size: bytes.byteLength,
    });
    expect(server.seen).toHaveLength(1);
  });

  test.each([
    ["has no digest", {}],
    ["has a digest that is none", { "docker-content-digest": "sha256:1" }],
    [
      "has a type that says nothing",
      { "content-type": "text/plain", "docker-content-digest": digest },
    ],
  ])("that %s is followed by the bytes", async (_, headers) => {
    await using server = scripted(() => answered(headers));
    expect(await server.repository.headManifest("v1", never)).toMatchObject({
      digest,
      mediaType: manifest.mediaType,
    });
    expect(server.seen.map(({ method }) => method)).toEqual(["HEAD", "GET"]);
  });

  test.each([302, 400, 403, 405, 406, 500, 501, 502, 503, 504])(
    "that is refused (%d) is followed by the bytes",
    async (status) => {
      await using server = scripted(({ method }) =>
        method === "HEAD" ? new Response("", { status }) : answered(),
      );
      expect(await server.repository.headManifest("v1", never)).toMatchObject({ digest });
    },
  );

  test("with another digest than the one asked for is not believed", async () => {
    await using server = scripted(() => answered({ "docker-content-digest": digestOf("other") }));
    expect(await server.repository.headManifest(digest, never)).toMatchObject({ digest });
    expect(server.seen.map(({ method }) => method)).toEqual(["HEAD", "GET"]);
  });
});

describe("putting a manifest", () => {
  test("has the manifest's own media type and bytes", async () => {
    await using server = scripted(() => new Response("", { status: 201 }));
    await server.repository.putManifest("v1", manifest, never);
    const [sent] = server.seen;
    expect(sent).toMatchObject({ method: "PUT", path: "/v2/acme/llama/manifests/v1" });
    expect(sent?.headers.get("content-type")).toBe(manifest.mediaType);
    expect(sent?.body).toEqual(manifest.bytes);
    expect(server.seen).toHaveLength(1);
  });

  test("that is stored as another is an integrity error", async () => {
    await using server = scripted(({ method }) =>
      method === "PUT"
        ? new Response("", { status: 201, headers: { "docker-content-digest": digestOf("other") } })
        : refusal(404, "MANIFEST_UNKNOWN"),
    );
    expect(await errorOf(server.repository.putManifest("v1", manifest, never))).toMatchObject({
      code: "integrity",
    });
  });

  test("that is there by its digest was stored, whatever the header says", async () => {
    await using server = scripted(({ method }) =>
      method === "PUT"
        ? new Response("", { status: 201, headers: { "docker-content-digest": digestOf("other") } })
        : answered(),
    );
    await server.repository.putManifest("v1", manifest, never);
  });

  test.each([400, 404])("shows what the registry has against it, with %d", async (status) => {
    await using server = scripted(() => refusal(status, "MANIFEST_BLOB_UNKNOWN", "blob unknown"));
    const failure = await errorOf(server.repository.putManifest("v1", manifest, never));
    expect(failure).toMatchObject({
      code: "network",
      hint: "the registry has lost blobs that it accepted, or does not find them yet; try again later",
    });
    expect(failure.message).toBe(
      `${server.host}/acme/llama: request for manifest "v1" failed: MANIFEST_BLOB_UNKNOWN: blob unknown (${status})`,
    );
  });
});

describe("putting a manifest about another", () => {
  const subject = { mediaType: manifest.mediaType, digest, size: manifest.bytes.byteLength };
  const referrer = manifestOf({
    artifactType: "application/vnd.test",
    config: blobOf("{}"),
    layers: [],
    subject,
    annotations: { a: "b" },
  });
  const tag = digest.replace(":", "-");
  const entry = {
    mediaType: referrer.mediaType,
    digest: referrer.digest,
    size: referrer.bytes.byteLength,
    artifactType: "application/vnd.test",
    annotations: { a: "b" },
  };

  test("is all where the registry knows of subjects", async () => {
    await using server = scripted(
      () => new Response("", { status: 201, headers: { "oci-subject": digest } }),
    );
    await server.repository.putManifest(referrer.digest, referrer, never);
    expect(server.seen).toHaveLength(1);
  });

  test("keeps the tag that stands in for the referrers, with what it had, once each", async () => {
    let kept: Uint8Array | undefined;
    await using server = scripted(({ method, path, body }) => {
      if (method === "PUT" && path.endsWith(tag)) kept = body;
      if (method === "PUT") return new Response("", { status: 201 });
      if (path.includes("/referrers/") || kept === undefined)
        return new Response("", { status: 404 });
      return new Response(new Uint8Array(kept), {
        headers: { "content-type": mediaTypes.ociIndex },
      });
    });
    await server.repository.putManifest(referrer.digest, referrer, never);
    expect(await server.repository.listReferrers(digest, undefined, never)).toEqual([entry]);
    const second = manifestOf({ config: blobOf("{}"), layers: [], subject, n: 2 });
    await server.repository.putManifest(second.digest, second, never);
    await server.repository.putManifest(second.digest, second, never);
    const found = await server.repository.listReferrers(digest, undefined, never);
    expect(found.map((known) => known.digest)).toEqual([referrer.digest, second.digest]);
    expect(await server.repository.listReferrers(digest, "application/vnd.test", never)).toEqual([
      entry,
    ]);
  });

  test("needs no more of its subject than the digest, and no tag where it names none", async () => {
    const put: string[] = [];
    await using server = scripted(({ method, path }) => {
      if (method === "PUT") put.push(path);
      return new Response("", { status: method === "PUT" ? 201 : 404 });
    });
    for (const about of [{ digest }, {}]) {
      const one = manifestOf({ config: blobOf("{}"), layers: [], subject: about });
      await server.repository.putManifest(one.digest, one, never);
    }
    expect(put.filter((path) => path.endsWith(tag))).toHaveLength(1);
    const strange = manifestOf({ config: blobOf("{}"), layers: [], subject: { digest: "md5:1" } });
    const failure = await errorOf(server.repository.putManifest(strange.digest, strange, never));
    expect(failure.message).toContain("the digest of its subject is not valid");
  });

  test("leaves entries of that tag that can't be read as they are", async () => {
    const strange = [null, { mediaType: "a/b", digest: `blake3:${"a".repeat(64)}`, size: 1 }];
    let kept: Uint8Array = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: strange }));
    await using server = scripted(({ method, path, body }) => {
      if (method === "PUT" && path.endsWith(tag)) kept = body;
      if (method === "PUT") return new Response("", { status: 201 });
      return new Response(new Uint8Array(kept), {
        headers: { "content-type": mediaTypes.ociIndex },
      });
    });
    await server.repository.putManifest(referrer.digest, referrer, never);
    expect(JSON.parse(Buffer.from(kept).toString())).toMatchObject({
      manifests: [...strange, entry],
    });
  });
});
