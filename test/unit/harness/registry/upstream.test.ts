import { describe, expect, test } from "bun:test";
import { readdir, truncate } from "node:fs/promises";
import { join } from "node:path";
import { serveHttp } from "../../../../src/harness/registry/instance/http-server.ts";
import { openServed, type Serving } from "../../../../src/harness/registry/serving.ts";
import { afterwards } from "../../../support/afterwards.ts";
import { digestFor, imageOf, registry } from "../../../support/registry/embedded-client.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

/** A registry with one image that can be reached, and another that pulls through it. */
async function pulledThrough(upstreamServing: Serving = {}, account = "") {
  const storage = await temporaryDirectory();
  const handle = await openServed(storage, upstreamServing);
  const asked: string[] = [];
  const server = await serveHttp({
    hostname: "127.0.0.1",
    port: 0,
    handle(request) {
      asked.push(`${request.method} ${new URL(request.url).pathname}`);
      return handle(request);
    },
  });
  let stopped = false;
  const stop = async () => {
    if (!stopped) await server.stop();
    stopped = true;
  };
  afterwards(stop);
  // Filled past whatever is around it.
  const origin = await registry({ storage });
  await origin.blob("acme/llama", "{}");
  const digest = await origin.blob("acme/llama", "weights");
  const put = (content: string) => origin.manifest("acme/llama", "v1", imageOf("{}", content));
  expect((await put("weights")).status).toBe(201);
  const upstream = `http://${account}127.0.0.1:${server.port}`;
  const cache = await openServed(await temporaryDirectory(), { upstream });
  const ask = (path: string, init: RequestInit = {}) =>
    cache(new Request(new URL(`/v2/acme/llama/${path}`, "http://cache.test"), init));
  return { ask, asked, digest, stop, origin, put, storage };
}

describe("a registry that pulls through another", () => {
  test("fetches what it lacks once, and has it when the other is gone", async () => {
    const { ask, asked, digest, stop } = await pulledThrough();
    const manifest = await (await ask("manifests/v1")).text();
    expect(JSON.parse(manifest)).toEqual(imageOf("{}", "weights"));
    const blobs = await Promise.all(
      [1, 2, 3].map(async () => (await ask(`blobs/${digest}`)).text()),
    );
    expect(blobs).toEqual(["weights", "weights", "weights"]);
    expect(asked.filter((line) => line.startsWith("GET /v2/acme/llama/blobs"))).toHaveLength(1);
    await stop();
    expect(await (await ask("manifests/v1")).text()).toBe(manifest);
    expect(await (await ask(`manifests/${digestFor(manifest)}`)).text()).toBe(manifest);
    const part = await ask(`blobs/${digest}`, { headers: { Range: "bytes=2-4" } });
    expect([part.status, await part.text()]).toEqual([206, "igh"]);
    expect((await ask("manifests/v2")).status).toBe(502);
  });

  test("asks for a tag each time", async () => {
    const { ask, origin, put } = await pulledThrough();
    await ask("manifests/v1");
    await origin.blob("acme/llama", "other");
    await put("other");
    expect(await (await ask("manifests/v1")).json()).toEqual(imageOf("{}", "other"));
  });

  test("says what the other one has without fetching it, and 404 to what is not there", async () => {
    const { ask, asked, digest } = await pulledThrough();
    const head = await ask(`blobs/${digest}`, { method: "HEAD" });
    expect([head.status, head.headers.get("Content-Length")]).toEqual([200, "7"]);
    expect(asked).toEqual([`HEAD /v2/acme/llama/blobs/${digest}`]);
    expect((await ask(`blobs/${digestFor("no")}`)).status).toBe(404);
    expect((await ask("manifests/no")).status).toBe(404);
  });

  test("tells of the other one in words of its own: no challenge, nothing of its connection", async () => {
    const { ask, digest } = await pulledThrough({ auth: "ada:s3", like: "zot" });
    const head = await ask(`blobs/${digest}`, { method: "HEAD" });
    expect([head.status, head.headers.get("WWW-Authenticate")]).toEqual([502, null]);
    const known = await pulledThrough({ auth: "ada:s3", like: "zot" }, "ada:s3@");
    const there = await known.ask(`blobs/${known.digest}`, { method: "HEAD" });
    expect(Object.fromEntries(there.headers)).toEqual({
      "accept-ranges": "bytes",
      "content-length": "7",
      "content-type": "application/octet-stream",
      "docker-content-digest": known.digest,
    });
  });

  test("does not say of a blob that it is not there when it can't ask", async () => {
    const { ask, digest, stop } = await pulledThrough();
    await stop();
    expect((await ask(`blobs/${digest}`, { method: "HEAD" })).status).toBe(502);
  });

  test("keeps and serves nothing that has another digest", async () => {
    const { ask, digest, storage } = await pulledThrough();
    const files = await readdir(storage, { recursive: true });
    const blob = files.find((name) => name.startsWith("blobs") && name.endsWith(digest.slice(7)));
    await truncate(join(storage, blob ?? ""), 3);
    expect((await ask(`blobs/${digest}`)).status).toBe(502);
  });

  test("is not written to", async () => {
    const { ask } = await pulledThrough();
    const { status, headers } = await ask("blobs/uploads/", { method: "POST" });
    expect([status, headers.get("Allow")]).toEqual([405, "GET, HEAD"]);
  });

  test("shows its password, or gets a token for it", async () => {
    for (const serving of [{ auth: "ada:s3" }, { auth: "ada:s3", tokenAuth: true }]) {
      const { ask, digest } = await pulledThrough(serving, "ada:s3@");
      expect(await (await ask(`blobs/${digest}`)).text()).toBe("weights");
      const stranger = await pulledThrough(serving);
      expect((await stranger.ask(`blobs/${digest}`)).status).toBe(502);
    }
  });
});
