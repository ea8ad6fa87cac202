import { describe, expect, test } from "bun:test";
import { chmod, mkdir, readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createEmbeddedRegistry } from "../../../../src/harness/registry/routes/registry.ts";
import { digestFor, imageOf, random, registry } from "../../../support/registry/embedded-client.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

describe("a registry on the directory of one before it", () => {
  test("has its blobs, manifests, tags and referrers", async () => {
    const before = await registry();
    await before.blob("a", "{}");
    const put = await before.manifest("a", "V1", imageOf("{}"));
    const digest = put.headers.get("Docker-Content-Digest") ?? "";
    const referrer = { ...imageOf("{}"), subject: { mediaType: "application/x", digest, size: 1 } };
    await before.manifest("a", undefined, referrer);

    const after = await registry({ storage: before.storage });
    expect(await (await after.send("GET", `/v2/a/blobs/${digestFor("{}")}`)).text()).toBe("{}");
    const found = await after.send("GET", "/v2/a/manifests/V1");
    expect(digestFor(await found.text())).toBe(digest);
    expect(await (await after.send("GET", "/v2/a/tags/list")).json()).toHaveProperty("tags", [
      "V1",
    ]);
    const referrers = await after.send("GET", `/v2/a/referrers/${digest}`);
    expect(await referrers.json()).toHaveProperty("manifests.length", 1);
  });

  test("goes on with its uploads", async () => {
    const before = await registry();
    const opened = await before.send("POST", "/v2/a/blobs/uploads/");
    const location = opened.headers.get("Location") ?? "";
    const content = random(6 * 1024 * 1024);
    const cut = 5 * 1024 * 1024;
    await before.send("PATCH", location, content.slice(0, cut));

    const after = await registry({ storage: before.storage });
    const status = await after.send("GET", location);
    expect([status.status, status.headers.get("Range")]).toEqual([204, `0-${cut - 1}`]);
    await after.send("PATCH", location, content.slice(cut), {
      "Content-Range": `${cut}-${content.length - 1}`,
    });
    const digest = digestFor(content);
    expect((await after.send("PUT", `${location}?digest=${digest}`)).status).toBe(201);
    const response = await after.send("GET", `/v2/a/blobs/${digest}`);
    expect(digestFor(new Uint8Array(await response.arrayBuffer()))).toBe(digest);
  });

  test("refuses an upload that was changed meanwhile", async () => {
    const before = await registry();
    const opened = await before.send("POST", "/v2/a/blobs/uploads/");
    const location = opened.headers.get("Location") ?? "";
    await before.send("PATCH", location, "hello");
    await writeFile(
      join(before.storage, "repositories/a/_uploads", location.split("/").at(-1) ?? ""),
      "HELLO",
    );
    const after = await registry({ storage: before.storage });
    const response = await after.send("PUT", `${location}?digest=${digestFor("hello")}`);
    expect(response.status).toBe(400);
  });

  test("forgets uploads that nobody went on with for weeks", async () => {
    const before = await registry();
    for (let count = 0; count < 2; count += 1) await before.send("POST", "/v2/a/blobs/uploads/");
    const directory = join(before.storage, "repositories/a/_uploads");
    const [old = ""] = await readdir(directory);
    const weeksAgo = new Date(Date.now() - 14 * 24 * 60 * 60 * 1000);
    await utimes(join(directory, old), weeksAgo, weeksAgo);
    await registry({ storage: before.storage });
    const left = await readdir(directory);
    expect(left).toHaveLength(1);
    expect(left).not.toContain(old);
  });
});

describe("a storage that can't be used is refused:", () => {
  test("a file", async () => {
    const path = join(await temporaryDirectory(), "file");
    await writeFile(path, "");
    await expect(createEmbeddedRegistry({ storage: path })).rejects.toThrow(
      expect.objectContaining({
        code: "conflict",
        message: expect.stringContaining("not a directory"),
      }),
    );
  });

  test("a directory of unsupported version", async () => {
    const storage = await temporaryDirectory();
    await writeFile(join(storage, "ocibundle-registry.json"), '{"version":2}');
    await expect(createEmbeddedRegistry({ storage })).rejects.toThrow(
      expect.objectContaining({
        code: "conflict",
        message: expect.stringContaining("unsupported version"),
      }),
    );
  });

  test.skipIf(process.getuid?.() === 0)("a directory without permission", async () => {
    const storage = join(await temporaryDirectory(), "closed");
    await mkdir(storage, { mode: 0o500 });
    await expect(createEmbeddedRegistry({ storage })).rejects.toThrow(
      expect.objectContaining({ code: "file" }),
    );
    await chmod(storage, 0o700);
  });
});
