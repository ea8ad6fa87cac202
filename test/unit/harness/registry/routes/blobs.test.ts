import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../../../../../src/oci/digest.ts";
import { contentPath } from "../../../../../src/harness/registry/storage/paths.ts";
import { digestFor, imageOf, registry } from "../../../../support/registry/embedded-client.ts";

describe("a blob", () => {
  test("is answered as it was pushed, with its digest and length", async () => {
    const { blob, send } = await registry();
    const digest = await blob("a/b", "hello world");
    const response = await send("GET", `/v2/a/b/blobs/${digest}`);
    expect(response.status).toBe(200);
    expect(response.headers.get("Docker-Content-Digest")).toBe(digest);
    expect(response.headers.get("Content-Length")).toBe("11");
    expect(response.headers.get("Content-Type")).toBe("application/octet-stream");
    expect(await response.text()).toBe("hello world");
  });

  test("HEAD says the same without the bytes", async () => {
    const { blob, send } = await registry();
    const digest = await blob("a", "hello world");
    const response = await send("HEAD", `/v2/a/blobs/${digest}`);
    expect(response.status).toBe(200);
    expect(response.headers.get("Content-Length")).toBe("11");
    expect(await response.text()).toBe("");
  });

  test("of no bytes is a blob", async () => {
    const { blob, send } = await registry();
    const digest = await blob("a", "");
    const response = await send("GET", `/v2/a/blobs/${digest}`);
    expect([response.status, await response.text()]).toEqual([200, ""]);
  });

  test.each([
    ["bytes=0-4", 206, "bytes 0-4/11", "hello"],
    ["bytes=6-", 206, "bytes 6-10/11", "world"],
    ["bytes=-5", 206, "bytes 6-10/11", "world"],
    ["bytes=6-1000", 206, "bytes 6-10/11", "world"],
    ["bytes=0-0,2-3", 200, null, "hello world"],
  ])("Range: %s", async (range, status, contentRange, text) => {
    const { blob, send } = await registry();
    const digest = await blob("a", "hello world");
    const response = await send("GET", `/v2/a/blobs/${digest}`, undefined, { Range: range });
    expect(response.status).toBe(status);
    expect(response.headers.get("Content-Range")).toBe(contentRange);
    expect(response.headers.get("Content-Length")).toBe(String(text.length));
    expect(await response.text()).toBe(text);
  });

  test("a range outside of it is refused with its size", async () => {
    const { blob, send } = await registry();
    const digest = await blob("a", "hello world");
    const response = await send("GET", `/v2/a/blobs/${digest}`, undefined, { Range: "bytes=11-" });
    expect(response.status).toBe(416);
    expect(response.headers.get("Content-Range")).toBe("bytes */11");
  });

  test("belongs to the repositories that have it, and no other", async () => {
    const { blob, send, codes } = await registry();
    const digest = await blob("a", "hello");
    const response = await send("GET", `/v2/b/blobs/${digest}`);
    expect(response.status).toBe(404);
    expect(response.headers.get("Content-Type")).toBe("application/json");
    expect(await codes(response)).toEqual(["BLOB_UNKNOWN"]);
    expect((await send("HEAD", `/v2/b/blobs/${digest}`)).status).toBe(404);
  });

  test("deleted from one repository stays in the other, and goes with the last", async () => {
    const { blob, send, storage } = await registry();
    const digest = await blob("a", "hello");
    await blob("b", "hello");
    const path = contentPath(storage, digest as Digest);

    expect((await send("DELETE", `/v2/a/blobs/${digest}`)).status).toBe(202);
    expect((await send("HEAD", `/v2/a/blobs/${digest}`)).status).toBe(404);
    expect((await send("HEAD", `/v2/b/blobs/${digest}`)).status).toBe(200);
    expect(existsSync(path)).toBe(true);

    expect((await send("DELETE", `/v2/b/blobs/${digest}`)).status).toBe(202);
    expect(existsSync(path)).toBe(false);
    expect((await send("DELETE", `/v2/b/blobs/${digest}`)).status).toBe(404);
  });

  test("that is a manifest too keeps its content when the blob is deleted", async () => {
    const { blob, manifest, send } = await registry();
    await blob("a", "{}");
    const image = imageOf("{}");
    const bytes = JSON.stringify(image);
    const digest = await blob("a", bytes);
    await manifest("b", undefined, image).then((refused) => expect(refused.status).toBe(400));
    expect((await manifest("a", undefined, image)).status).toBe(201);
    expect((await send("DELETE", `/v2/a/blobs/${digest}`)).status).toBe(202);
    expect(await (await send("GET", `/v2/a/manifests/${digest}`)).text()).toBe(bytes);
  });

  test("whose content is gone from the disk is unknown", async () => {
    const { blob, send, storage } = await registry();
    const digest = await blob("a", "hello");
    await Bun.file(join(contentPath(storage, digest as Digest))).delete();
    expect((await send("HEAD", `/v2/a/blobs/${digest}`)).status).toBe(404);
  });

  test("pushed and deleted many times at once ends whole or not at all", async () => {
    const { blob, send } = await registry();
    const digest = digestFor("hello");
    const work = Array.from({ length: 40 }, (_, index) =>
      index % 2 === 0
        ? blob(`a${index % 3}`, "hello")
        : send("DELETE", `/v2/a${index % 3}/blobs/${digest}`),
    );
    await Promise.all(work);
    for (const repository of ["a0", "a1", "a2"]) {
      const response = await send("GET", `/v2/${repository}/blobs/${digest}`);
      expect([200, 404]).toContain(response.status);
      if (response.status === 200) expect(await response.text()).toBe("hello");
    }
  });
});

describe("an endpoint", () => {
  test("answers /v2/", async () => {
    const { send } = await registry();
    const response = await send("GET", "/v2/");
    expect([response.status, await response.text()]).toEqual([200, "{}"]);
  });

  test("says which methods it has", async () => {
    const { send, codes } = await registry();
    const response = await send("POST", `/v2/a/blobs/${digestFor("x")}`, "x");
    expect(response.status).toBe(405);
    expect(response.headers.get("Allow")).toBe("GET, HEAD, DELETE");
    expect(await codes(response)).toEqual(["UNSUPPORTED"]);
  });

  test("that does not exist is a JSON answer", async () => {
    const { send, codes } = await registry();
    const response = await send("GET", "/etc/passwd");
    expect(response.status).toBe(404);
    expect(await codes(response)).toEqual(["UNSUPPORTED"]);
  });
});
