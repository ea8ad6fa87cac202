import { describe, expect, test } from "bun:test";
import { layered } from "../../../../src/harness/registry/auth/middleware.ts";
import { serveHttp } from "../../../../src/harness/registry/instance/http-server.ts";
import {
  personality,
  type PersonalityName,
} from "../../../../src/harness/misbehave/personalities/personality.ts";
import {
  blobsAtMost,
  chunksAtMost,
  noSecondTry,
  parts,
  putsAtMost,
  sessionsOnly,
  uploadsWithin,
} from "../../../../src/harness/misbehave/personalities/uploads.ts";
import {
  requestsWithin,
  tooManyRequests,
} from "../../../../src/harness/misbehave/personalities/traffic.ts";
import type { Layer } from "../../../../src/harness/registry/auth/middleware.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { afterwards } from "../../../support/afterwards.ts";
import { digestFor, imageOf, registry } from "../../../support/registry/embedded-client.ts";

const uploads = "/v2/acme/llama/blobs/uploads/";

/** A registry with layers, and ways to upload to it. */
const behaving = (...layers: Layer[]) => layeredRegistry({}, layers);

async function layeredRegistry(options: Parameters<typeof registry>[0], layers: Layer[]) {
  const client = await registry(options);
  const handler = layered(client.handler, layers);
  const ask = (method: string, path: string, headers: Record<string, string> = {}, body?: string) =>
    handler(
      new Request(new URL(path, "http://127.0.0.1"), {
        method,
        headers: body === undefined ? headers : { "Content-Length": `${body.length}`, ...headers },
        ...(body === undefined ? {} : { body }),
      }),
    );
  const start = async () => (await ask("POST", uploads)).headers.get("Location") ?? "";
  const chunk = async (at: string, first: number, body: string) =>
    await ask("PATCH", at, { "Content-Range": `${first}-${first + body.length - 1}` }, body);
  return { ...client, handler, ask, start, chunk };
}

const like = (name: PersonalityName) => {
  const { outer, inner, minChunkLength } = personality(name, 1);
  return layeredRegistry({ minChunkLength }, [...outer, ...inner]);
};

test("a registry that knows sessions only takes a blob in one POST for a question for one", async () => {
  const { ask } = await behaving(sessionsOnly);
  const digest = digestFor("abc");
  const answer = await ask("POST", `${uploads}?digest=${digest}`, {}, "abc");
  expect(answer.status).toBe(202);
  expect((await ask("HEAD", `/v2/acme/llama/blobs/${digest}`)).status).toBe(404);
  const at = answer.headers.get("Location") ?? "";
  expect((await ask("PUT", `${at}?digest=${digest}`, {}, "abc")).status).toBe(201);
});

describe("a registry that limits", () => {
  test("chunks answers 416 to a larger one, says what it has, and takes one body of any size", async () => {
    const { start, chunk, ask } = await behaving(chunksAtMost(4));
    const at = await start();
    expect((await chunk(at, 0, "abcd")).status).toBe(202);
    const refused = await chunk(at, 4, "efghi");
    expect([refused.status, refused.headers.get("Range")]).toEqual([416, "0-3"]);
    expect((await ask("PATCH", at, {}, "efghi")).status).toBe(202);
  });

  test("bodies counts those of a blob in one POST", async () => {
    const whole = `${uploads}?digest=${digestFor("abcdefghi")}`;
    for (const layer of [blobsAtMost(8), putsAtMost(8)]) {
      const { ask } = await behaving(layer);
      expect((await ask("POST", whole, {}, "abcdefghi")).status).toBe(413);
    }
    const { ask } = await behaving(blobsAtMost(9), putsAtMost(9));
    expect((await ask("POST", whole, {}, "abcdefghi")).status).toBe(201);
  });

  test("blobs counts what came in the chunks before", async () => {
    const { start, chunk } = await behaving(blobsAtMost(8));
    const at = await start();
    expect((await chunk(at, 0, "abcdef")).status).toBe(202);
    expect((await chunk(at, 6, "ghi")).status).toBe(413);
    expect((await chunk(at, 6, "gh")).status).toBe(202);
  });

  test("parts takes a small one at the end only, and no more than so many", async () => {
    const { start, chunk } = await behaving(parts({ least: 3, count: 2 }));
    const [first, second] = [await start(), await start()];
    expect((await chunk(first, 0, "ab")).status).toBe(202);
    expect((await chunk(first, 2, "cde")).status).toBe(400);
    expect((await chunk(second, 0, "abc")).status).toBe(202);
    expect((await chunk(second, 3, "def")).status).toBe(202);
    expect((await chunk(second, 6, "ghi")).status).toBe(400);
  });

  test("the time of an upload forgets it then", async () => {
    let now = 0;
    const { start, chunk } = await behaving(uploadsWithin(1000, () => now));
    const at = await start();
    expect((await chunk(at, 0, "ab")).status).toBe(202);
    now = 1001;
    expect((await chunk(at, 2, "cd")).status).toBe(404);
  });

  test("how much is asked says when to come back", async () => {
    const { ask } = await behaving(tooManyRequests(3, 7));
    const statuses = [await ask("GET", "/v2/"), await ask("GET", "/v2/"), await ask("GET", "/v2/")];
    expect(statuses.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(statuses[2]?.headers.get("Retry-After")).toBe("7");
  });

  test("the time of a request breaks it off, in its body too", async () => {
    const { handler: handle } = await behaving(requestsWithin(150));
    const server = await serveHttp({ hostname: "127.0.0.1", port: 0, handle });
    afterwards(() => server.stop());
    const at = `http://127.0.0.1:${server.port}`;
    expect((await fetch(`${at}/v2/`)).status).toBe(200);
    const location = (await fetch(`${at}${uploads}`, { method: "POST" })).headers.get("Location");
    const endless = new ReadableStream({
      async pull(controller) {
        controller.enqueue(new Uint8Array(10));
        await Bun.sleep(20);
      },
    });
    const sending = fetch(`${at}${location}`, { method: "PATCH", body: endless });
    await expect(sending).rejects.toThrow();
  });
});

/** How a registry answers to a mount. */
const mountAt = async (name: PersonalityName, from: string) => {
  const { ask, blob } = await like(name);
  const digest = await blob("acme/a", "layer");
  return (await ask("POST", `/v2/acme/b/blobs/uploads/?mount=${digest}${from}`)).status;
};

describe("a registry like", () => {
  test("ecr answers 201 to a PATCH, sticks at the first chunk and mounts what a manifest names", async () => {
    const { ask, start, chunk, blob, send } = await behaving(...personality("ecr", 1000).inner);
    const at = await start();
    const part = "x".repeat(6000);
    const first = await chunk(at, 0, part);
    expect([first.status, first.headers.get("Range")]).toEqual([201, "0-5999"]);
    expect((await chunk(at, 6000, part)).headers.get("Range")).toBe("0-5999");
    expect((await ask("GET", at)).headers.get("Range")).toBe("0-5999");

    const [config, layer] = ["{}", "layer"];
    const [configDigest, digest] = [await blob("acme/a", config), await blob("acme/a", layer)];
    const mount = async () =>
      (await ask("POST", `/v2/acme/b/blobs/uploads/?mount=${digest}&from=acme/a`)).status;
    expect(await mount()).toBe(202);
    const manifest = imageOf(config, layer);
    const type = { "Content-Type": manifest.mediaType };
    const put = await ask("PUT", "/v2/acme/a/manifests/v1", type, JSON.stringify(manifest));
    expect(put.status).toBe(201);
    expect(await mount()).toBe(201);
    expect((await send("HEAD", `/v2/acme/a/blobs/${configDigest}`)).status).toBe(200);
  });

  test("ecr refuses a manifest that has no end as soon as it is too large", async () => {
    const { handler } = await like("ecr");
    let pulled = 0;
    const endless = new ReadableStream({
      pull(controller) {
        pulled += 1;
        if (pulled > 100) controller.error(new Error("all of it is taken in"));
        else controller.enqueue(new Uint8Array(1024 * 1024).fill(32));
      },
    });
    const request = new Request("http://127.0.0.1/v2/acme/a/manifests/v1", {
      method: "PUT",
      headers: { "Content-Type": mediaTypes.ociManifest },
      body: endless,
    });
    expect((await handler(request)).status).toBe(413);
    expect(pulled).toBeLessThan(10);
  });

  test("ecr-public knows no session's state, and takes nothing more in one that failed", async () => {
    const { ask, start, chunk } = await like("ecr-public");
    const at = await start();
    expect((await ask("GET", at)).status).toBe(404);
    expect((await chunk(at, 5, "late")).status).toBe(416);
    const { start: open, chunk: send, ask: put } = await behaving(noSecondTry());
    const other = await open();
    expect((await put("PUT", `${other}?digest=${digestFor("x")}`, {}, "y")).status).toBe(400);
    expect((await send(other, 0, "x")).status).toBe(416);
  });

  test("gar refuses chunks and several ranges", async () => {
    const { ask, start, chunk, blob } = await like("gar");
    expect((await chunk(await start(), 0, "abc")).status).toBe(400);
    const path = `/v2/acme/llama/blobs/${await blob("acme/llama", "weights")}`;
    expect((await ask("GET", path, { Range: "bytes=0-1" })).status).toBe(206);
    expect((await ask("GET", path, { Range: "bytes=0-1,3-4" })).status).toBe(400);
  });

  test("acr wants a length, and no large PUT", async () => {
    const { handler, start, ask } = await behaving(...personality("acr", 1024 ** 2).inner);
    const at = await start();
    const body = new Blob(["abc"]).stream();
    const lengthless = new Request(new URL(at, "http://127.0.0.1"), {
      method: "PATCH",
      body,
      duplex: "half",
    } as RequestInit);
    expect((await handler(lengthless)).status).toBe(411);
    const put = (text: string) => ask("PUT", `${at}?digest=${digestFor(text)}`, {}, text);
    expect((await put("x".repeat(21))).status).toBe(413);
    expect((await put("x".repeat(20))).status).toBe(201);
  });

  test("dockerhub and quay fail on mounts out of nowhere or elsewhere", async () => {
    expect(await mountAt("dockerhub", "&from=acme/a")).toBe(201);
    expect(await mountAt("dockerhub", "&from=ghcr.io/acme/a")).toBe(400);
    expect(await mountAt("quay", "&from=acme/a")).toBe(201);
    expect(await mountAt("quay", "")).toBe(400);
    expect(await mountAt("artifactory", "&from=acme/a")).toBe(405);
  });

  test("harbor refuses a write that brings its cookie back", async () => {
    const { ask } = await like("harbor");
    const cookie = (await ask("GET", "/v2/")).headers.get("Set-Cookie")?.split(";")[0] ?? "";
    expect(cookie).toStartWith("sid=");
    expect((await ask("POST", uploads, { Cookie: cookie })).status).toBe(403);
    expect((await ask("POST", uploads)).status).toBe(202);
  });

  test("artifactory answers 400 to a Range on a blob", async () => {
    const { ask, blob } = await like("artifactory");
    const path = `/v2/acme/llama/blobs/${await blob("acme/llama", "weights")}`;
    expect((await ask("GET", path, { Range: "bytes=0-1" })).status).toBe(400);
    expect(await (await ask("GET", path)).text()).toBe("weights");
  });

  test("gitlab says how large a chunk must be", async () => {
    const { ask } = await like("gitlab");
    const minimum = (await ask("POST", uploads)).headers.get("OCI-Chunk-Min-Length");
    expect(minimum).toBe(String(5 * 1024 * 1024));
  });

  test("s3 sends one to another origin, where a second authorisation is an error", async () => {
    const { ask, blob } = await like("s3");
    const path = `/v2/acme/llama/blobs/${await blob("acme/llama", "weights")}`;
    const redirect = await ask("GET", path, { Range: "bytes=1-3" });
    expect(redirect.status).toBe(307);
    const target = new URL(redirect.headers.get("Location") ?? "");
    expect(target.hostname).toBe("localhost");
    const signed = target.pathname + target.search;
    const range = { Range: "bytes=1-3" };
    expect(await (await ask("GET", signed, range)).text()).toBe("eig");
    expect((await ask("GET", signed, { ...range, Authorization: "Bearer x" })).status).toBe(400);
    expect((await ask("HEAD", signed)).status).toBe(403);
    expect((await ask("GET", signed.replace(/Expires=\d/, "Expires=9"))).status).toBe(403);
    expect((await ask("GET", target.pathname)).status).toBe(403);
  });
});
