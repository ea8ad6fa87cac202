import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  type Client,
  digestFor,
  random,
  registry,
} from "../../../../support/registry/embedded-client.ts";

const octets = { "Content-Type": "application/octet-stream" };

async function session({ send }: Client, repository = "a"): Promise<string> {
  const response = await send("POST", `/v2/${repository}/blobs/uploads/`);
  expect(response.status).toBe(202);
  return response.headers.get("Location") ?? "";
}

const sendChunk = ({ send }: Client, location: string, first: number, text: string) =>
  send("PATCH", location, text, { "Content-Range": `${first}-${first + text.length - 1}` });

const stored = async ({ send }: Client, digest: string, repository = "a"): Promise<string> => {
  const response = await send("GET", `/v2/${repository}/blobs/${digest}`);
  expect(response.status).toBe(200);
  return digestFor(new Uint8Array(await response.arrayBuffer()), digest.split(":")[0]);
};

/** What the registry holds that has no name yet. */
const unfinished = ({ storage }: Client, repository = "a"): string[] => {
  const directory = join(storage, "repositories", repository, "_uploads");
  return existsSync(directory) ? readdirSync(directory) : [];
};

/** Sends the chunks one after the other, then breaks off. */
const brokenOff = (...chunks: Uint8Array[]): ReadableStream<Uint8Array> => {
  const left = [...chunks];
  return new ReadableStream({
    pull(controller) {
      const chunk = left.shift();
      if (chunk === undefined) controller.error(new Error("the connection was lost"));
      else controller.enqueue(chunk);
    },
  });
};

describe("a blob is pushed", () => {
  test("with one POST", async () => {
    const client = await registry();
    const digest = digestFor("hello");
    const response = await client.send("POST", `/v2/a/blobs/uploads/?digest=${digest}`, "hello");
    expect(response.status).toBe(201);
    expect(response.headers.get("Location")).toBe(`/v2/a/blobs/${digest}`);
    expect(response.headers.get("Docker-Content-Digest")).toBe(digest);
    expect(unfinished(client)).toEqual([]);
  });

  test("with POST and PUT", async () => {
    const client = await registry();
    const location = await session(client);
    const digest = digestFor("hello");
    const response = await client.send("PUT", `${location}?digest=${digest}`, "hello", octets);
    expect(response.status).toBe(201);
    expect(await stored(client, digest)).toBe(digest);
  });

  test("in chunks, the last one with the PUT", async () => {
    const client = await registry();
    const location = await session(client);
    const content = random(3000);
    const digest = digestFor(content);
    const first = await client.send("PATCH", location, content.slice(0, 1000), {
      "Content-Range": "0-999",
    });
    expect(first.status).toBe(202);
    expect(first.headers.get("Range")).toBe("0-999");
    await client.send("PATCH", location, content.slice(1000, 2000), {
      "Content-Range": "1000-1999",
    });
    const last = await client.send("PUT", `${location}?digest=${digest}`, content.slice(2000), {
      "Content-Range": "2000-2999",
    });
    expect(last.status).toBe(201);
    expect(await stored(client, digest)).toBe(digest);
  });

  test("as a stream, in one PATCH without Content-Range", async () => {
    const client = await registry();
    const location = await session(client);
    const content = random(100_000);
    const digest = digestFor(content);
    const body = new Blob([content]).stream();
    expect((await client.send("PATCH", location, body)).status).toBe(202);
    expect((await client.send("PUT", `${location}?digest=${digest}`)).status).toBe(201);
    expect(await stored(client, digest)).toBe(digest);
  });

  test.each([
    ["just below a buffer", 4 * 1024 * 1024 - 1],
    ["just a buffer", 4 * 1024 * 1024],
    ["several buffers, past the page cache", 37 * 1024 * 1024 + 123],
  ])("of %s", async (_, size) => {
    const client = await registry();
    const content = random(size);
    const digest = await client.blob("a", content);
    expect(await stored(client, digest)).toBe(digest);
  });

  test("in large chunks, each hashed where the ones before it were", async () => {
    const client = await registry();
    const location = await session(client);
    const content = random(20 * 1024 * 1024 + 5);
    const half = 10 * 1024 * 1024 + 1;
    await client.send("PATCH", location, content.slice(0, half));
    await client.send("PATCH", location, content.slice(half));
    const digest = digestFor(content);
    expect((await client.send("PUT", `${location}?digest=${digest}`)).status).toBe(201);
    expect(await stored(client, digest)).toBe(digest);
  });

  test.each(["", "?digest-algorithm=sha512"])(
    "by its sha512 digest, opened with %p",
    async (query) => {
      const client = await registry();
      const response = await client.send("POST", `/v2/a/blobs/uploads/${query}`);
      const location = response.headers.get("Location") ?? "";
      const content = random(5 * 1024 * 1024);
      const digest = digestFor(content, "sha512");
      await client.send("PATCH", location, content);
      expect((await client.send("PUT", `${location}?digest=${digest}`)).status).toBe(201);
      expect(await stored(client, digest)).toBe(digest);
    },
  );

  test("twice at the same time, and is there once", async () => {
    const client = await registry();
    const content = random(5 * 1024 * 1024);
    const digests = await Promise.all([
      client.blob("a", content),
      client.blob("b", content),
      client.blob("a", content),
    ]);
    expect(new Set(digests).size).toBe(1);
    const [digest = ""] = digests;
    expect(await stored(client, digest)).toBe(digest);
    expect(await stored(client, digest, "b")).toBe(digest);
    expect([...unfinished(client), ...unfinished(client, "b")]).toEqual([]);
  });

  test("many at the same time", async () => {
    const client = await registry();
    const contents = Array.from({ length: 30 }, (_, index) => random(1 + index * 200_000));
    const digests = await Promise.all(contents.map((content) => client.blob("a", content)));
    for (const digest of digests) expect(await stored(client, digest)).toBe(digest);
  });
});

describe("an upload", () => {
  test("says how much has arrived", async () => {
    const client = await registry();
    const location = await session(client);
    await client.send("PATCH", location, "hello");
    const response = await client.send("GET", location);
    expect(response.status).toBe(204);
    expect(response.headers.get("Range")).toBe("0-4");
    expect(response.headers.get("Location")).toBe(location);
  });

  test("says how much has arrived once a request that is at it has ended", async () => {
    const client = await registry();
    const location = await session(client);
    const rest = Promise.withResolvers<void>();
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        controller.enqueue(new TextEncoder().encode("hello"));
        await rest.promise;
        controller.close();
      },
    });
    const sent = client.send("PATCH", location, body);
    const asked = client.send("GET", location);
    await Promise.race([asked, Bun.sleep(20)]);
    rest.resolve();
    expect((await asked).headers.get("Range")).toBe("0-4");
    expect((await sent).status).toBe(202);
  });

  test("refuses a chunk out of order, and says where to go on", async () => {
    const client = await registry();
    const location = await session(client);
    await client.send("PATCH", location, "hello", { "Content-Range": "0-4" });
    for (const wrong of ["6-10", "0-4", "4-8"]) {
      const response = await client.send("PATCH", location, "world", { "Content-Range": wrong });
      expect(response.status).toBe(416);
      expect(response.headers.get("Range")).toBe("0-4");
    }
    expect((await client.send("PATCH", location, "world", { "Content-Range": "5-9" })).status).toBe(
      202,
    );
    const digest = digestFor("helloworld");
    expect((await client.send("PUT", `${location}?digest=${digest}`)).status).toBe(201);
  });

  test.each(["five", "5-", "9-5", "bytes */5"])("refuses Content-Range: %s", async (range) => {
    const client = await registry();
    const location = await session(client);
    const response = await client.send("PATCH", location, "hello", { "Content-Range": range });
    expect(response.status).toBe(400);
  });

  test("takes nothing of a chunk that has another length than it says", async () => {
    const client = await registry();
    const location = await session(client);
    await client.send("PATCH", location, "hello ");
    const response = await client.send("PATCH", location, new Blob(["wo"]).stream(), {
      "Content-Range": "6-10",
    });
    expect(response.status).toBe(400);
    expect(await client.codes(response)).toEqual(["SIZE_INVALID"]);
    await client.send("PATCH", location, "world", { "Content-Range": "6-10" });
    const digest = digestFor("hello world");
    expect((await client.send("PUT", `${location}?digest=${digest}`)).status).toBe(201);
  });

  test("keeps what came before its connection broke", async () => {
    const client = await registry();
    const location = await session(client);
    const content = random(9 * 1024 * 1024);
    const cut = 6 * 1024 * 1024 + 7;
    const broken = await client.send(
      "PATCH",
      location,
      brokenOff(content.slice(0, 1000), content.slice(1000, cut)),
    );
    expect(broken.status).toBe(500);
    const status = await client.send("GET", location);
    expect(status.headers.get("Range")).toBe(`0-${cut - 1}`);
    const rest = await client.send("PATCH", location, content.slice(cut), {
      "Content-Range": `${cut}-${content.length - 1}`,
    });
    expect(rest.status).toBe(202);
    const digest = digestFor(content);
    expect((await client.send("PUT", `${location}?digest=${digest}`)).status).toBe(201);
    expect(await stored(client, digest)).toBe(digest);
  });

  test("in one POST whose connection broke leaves nothing", async () => {
    const client = await registry();
    const path = `/v2/a/blobs/uploads/?digest=${digestFor("hello")}`;
    expect((await client.send("POST", path, brokenOff(random(1000)))).status).toBe(500);
    expect(unfinished(client)).toEqual([]);
  });

  test("of other bytes than its digest says is refused and gone", async () => {
    const client = await registry();
    const location = await session(client);
    const response = await client.send("PUT", `${location}?digest=${digestFor("other")}`, "hello");
    expect(response.status).toBe(400);
    expect(await client.codes(response)).toEqual(["DIGEST_INVALID"]);
    expect((await client.send("GET", location)).status).toBe(404);
    expect((await client.send("HEAD", `/v2/a/blobs/${digestFor("other")}`)).status).toBe(404);
    expect(unfinished(client)).toEqual([]);
  });

  test("can't end without a digest", async () => {
    const client = await registry();
    const location = await session(client);
    const response = await client.send("PUT", location, "hello");
    expect(response.status).toBe(400);
    expect((await client.send("GET", location)).status).toBe(204);
  });

  test("is one request's at a time", async () => {
    const client = await registry();
    const location = await session(client);
    const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
    const slow = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(new TextEncoder().encode("hel"));
        await finished;
        controller.enqueue(new TextEncoder().encode("lo"));
        controller.close();
      },
    });
    const first = client.send("PATCH", location, slow);
    const second = await client.send("PATCH", location, "other");
    expect(second.status).toBe(409);
    finish();
    expect((await first).status).toBe(202);
    expect((await client.send("PUT", `${location}?digest=${digestFor("hello")}`)).status).toBe(201);
  });

  test("can be cancelled", async () => {
    const client = await registry();
    const location = await session(client);
    await client.send("PATCH", location, "hello");
    expect((await client.send("DELETE", location)).status).toBe(204);
    expect((await client.send("GET", location)).status).toBe(404);
    expect((await client.send("PATCH", location, "x")).status).toBe(404);
    expect(unfinished(client)).toEqual([]);
  });

  test("belongs to its repository", async () => {
    const client = await registry();
    const location = await session(client, "a");
    const elsewhere = location.replace("/v2/a/", "/v2/b/");
    const response = await client.send("GET", elsewhere);
    expect(response.status).toBe(404);
    expect(await client.codes(response)).toEqual(["BLOB_UPLOAD_UNKNOWN"]);
  });

  test.each(["nope", "..%2f_tags", "00000000-0000-0000-0000-000000000000"])(
    "named %s does not exist",
    async (id) => {
      const { send } = await registry();
      expect((await send("GET", `/v2/a/blobs/uploads/${id}`)).status).toBe(404);
    },
  );

  test("is told the shortest chunk where there is one", async () => {
    const { send } = await registry({ minChunkLength: 1024 });
    const response = await send("POST", "/v2/a/blobs/uploads/");
    expect(response.headers.get("OCI-Chunk-Min-Length")).toBe("1024");
  });

  test.each(["chunk", "PUT", "stream"] as const)(
    "takes no %s after a chunk that was too short",
    async (what) => {
      const client = await registry({ minChunkLength: 4 });
      const location = await session(client);
      expect((await sendChunk(client, location, 0, "hel")).status).toBe(202);
      const digest = digestFor("hello!!");
      const response = await {
        chunk: () => sendChunk(client, location, 3, "lo!!"),
        PUT: () => client.send("PUT", `${location}?digest=${digest}`, "lo!!"),
        stream: () => client.send("PATCH", location, new Blob(["lo!!"]).stream()),
      }[what]();
      expect(response.status).toBe(400);
      expect(response.headers.get("Range")).toBe("0-2");
      expect(await client.codes(response)).toEqual(["SIZE_INVALID"]);
      // The upload is as it was, and what has come may be all of it.
      const whole = await client.send("PUT", `${location}?digest=${digestFor("hel")}`);
      expect(whole.status).toBe(201);
    },
  );

  test("takes a last chunk that is shorter than others may be", async () => {
    const client = await registry({ minChunkLength: 4 });
    const location = await session(client);
    expect((await sendChunk(client, location, 0, "hell")).status).toBe(202);
    expect((await sendChunk(client, location, 4, "o")).status).toBe(202);
    const digest = digestFor("hello");
    expect((await client.send("PUT", `${location}?digest=${digest}`)).status).toBe(201);
  });

  test("goes on where a chunk broke off, however short what came of it is", async () => {
    const client = await registry({ minChunkLength: 4 });
    const location = await session(client);
    const broken = brokenOff(new TextEncoder().encode("h"));
    const sent = client.send("PATCH", location, broken, { "Content-Range": "0-3" });
    await sent.catch(() => undefined);
    expect((await client.send("GET", location)).headers.get("Range")).toBe("0-0");
    expect((await sendChunk(client, location, 1, "ello")).status).toBe(202);
    const digest = digestFor("hello");
    expect((await client.send("PUT", `${location}?digest=${digest}`)).status).toBe(201);
  });
});

describe("a mount", () => {
  test("gives a repository the blob of another", async () => {
    const client = await registry();
    const digest = await client.blob("a", "hello");
    const response = await client.send("POST", `/v2/b/c/blobs/uploads/?mount=${digest}&from=a`);
    expect(response.status).toBe(201);
    expect(response.headers.get("Location")).toBe(`/v2/b/c/blobs/${digest}`);
    expect(await stored(client, digest, "b/c")).toBe(digest);
  });

  test("without a source looks everywhere", async () => {
    const client = await registry();
    const digest = await client.blob("a", "hello");
    const response = await client.send("POST", `/v2/b/blobs/uploads/?mount=${digest}`);
    expect(response.status).toBe(201);
  });

  test.each(["b", "../a", "A"])("from %s, which does not have it, is an upload", async (from) => {
    const client = await registry();
    const digest = await client.blob("a", "hello");
    const response = await client.send("POST", `/v2/c/blobs/uploads/?mount=${digest}&from=${from}`);
    expect(response.status).toBe(202);
    const location = response.headers.get("Location") ?? "";
    const put = await client.send("PUT", `${location}?digest=${digest}`, "hello");
    expect(put.status).toBe(201);
  });

  test("of what is no digest is refused", async () => {
    const { send, codes } = await registry();
    const response = await send("POST", "/v2/a/blobs/uploads/?mount=sha256:x&from=b");
    expect(response.status).toBe(400);
    expect(await codes(response)).toEqual(["DIGEST_INVALID"]);
  });
});
