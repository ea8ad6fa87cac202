import { describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { serveHttp } from "../../../../src/harness/registry/instance/http-server.ts";
import { afterwards } from "../../../support/afterwards.ts";
import { digestFor, random, registry } from "../../../support/registry/embedded-client.ts";

// Requests that a client sends without waiting for the answers to those before (RFC 9112, 9.3.2).

interface Answered {
  status: number;
  headers: Headers;
  body: Buffer;
}

async function served() {
  const client = await registry();
  const server = await serveHttp({ hostname: "127.0.0.1", port: 0, handle: client.handler });
  afterwards(() => server.stop());
  return { ...client, port: server.port };
}

const request = (method: string, path: string, body?: Uint8Array): Buffer => {
  const length = body === undefined ? "" : `Content-Length: ${body.length}\r\n`;
  return Buffer.concat([
    Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: registry.test\r\n${length}\r\n`),
    body ?? Buffer.alloc(0),
  ]);
};

const many = (count: number) => Array.from({ length: count }, () => ["GET", "/"] as const);

/** Writes everything at once, and reads an answer for each method; one that is missing is an error. */
async function pipeline(
  port: number,
  requests: readonly (readonly [string, string, Uint8Array?])[],
): Promise<Answered[]> {
  const socket = connect(port, "127.0.0.1");
  socket.write(Buffer.concat(requests.map((one) => request(...one))));
  const answers: Answered[] = [];
  let pieces: Buffer[] = [];
  let wanted = 0;
  const read = (): boolean => {
    for (;;) {
      const method = requests[answers.length]?.[0];
      if (method === undefined) return true;
      const arrived = pieces.reduce((sum, piece) => sum + piece.length, 0);
      if (arrived < wanted || arrived === 0) return false;
      const bytes = Buffer.concat(pieces);
      pieces = [bytes];
      const end = bytes.indexOf("\r\n\r\n");
      if (end < 0) return false;
      const [first = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
      const headers = new Headers(
        lines.map((line) => {
          const colon = line.indexOf(":");
          return [line.slice(0, colon), line.slice(colon + 1).trim()] as [string, string];
        }),
      );
      const length = method === "HEAD" ? 0 : Number(headers.get("Content-Length") ?? 0);
      wanted = end + 4 + length;
      if (bytes.length < wanted) return false;
      const body = bytes.subarray(end + 4, wanted);
      answers.push({ status: Number(first.split(" ")[1]), headers, body });
      pieces = [bytes.subarray(wanted)];
      wanted = 0;
    }
  };
  try {
    for await (const piece of socket) {
      pieces.push(piece as Buffer);
      if (read()) return answers;
    }
  } finally {
    socket.destroy();
  }
  throw new Error(`the connection ended after ${answers.length} of ${requests.length} answers`);
}

describe("requests that are sent at once", () => {
  test("five GETs of blobs are answered in their order", async () => {
    const { blob, port } = await served();
    const contents = [3, 9_000_001, 70_000, 5_000_000, 1].map(random);
    const digests: string[] = [];
    for (const content of contents) digests.push(await blob("a", content));
    const answers = await pipeline(
      port,
      digests.map((digest) => ["GET", `/v2/a/blobs/${digest}`] as const),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(answers.map(({ body }) => digestFor(new Uint8Array(body)))).toEqual(digests);
  });

  test("five GETs of manifests, tags and what is missing are answered in their order", async () => {
    const { blob, manifest, port } = await served();
    const config = await blob("a", "{}");
    const pushed = {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: { mediaType: "application/vnd.oci.empty.v1+json", digest: config, size: 2 },
      layers: [],
    };
    expect((await manifest("a", "v1", pushed)).status).toBe(201);
    const answers = await pipeline(port, [
      ["GET", "/v2/a/manifests/v1"],
      ["GET", "/v2/a/manifests/v2"],
      ["GET", "/v2/a/tags/list"],
      ["GET", "/v2/"],
      ["GET", "/v2/a/manifests/v1"],
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 404, 200, 200, 200]);
    expect(JSON.parse(answers[0]?.body.toString() ?? "")).toEqual(pushed);
    expect(JSON.parse(answers[2]?.body.toString() ?? "")).toEqual({ name: "a", tags: ["v1"] });
    expect(answers[4]?.body).toEqual(answers[0]?.body as Buffer);
  });

  test("GETs behind a HEAD and behind uploads are answered after them", async () => {
    const { blob, send, port } = await served();
    const [small, large] = [random(1000), random(6_000_000)];
    const there = await blob("a", small);
    const session = (await send("POST", "/v2/a/blobs/uploads/")).headers.get("Location") ?? "";
    const digest = digestFor(large);
    const answers = await pipeline(port, [
      ["HEAD", `/v2/a/blobs/${there}`],
      ["GET", `/v2/a/blobs/${there}`],
      ["PUT", `${session}?digest=${digest}`, large],
      ["GET", `/v2/a/blobs/${digest}`],
      ["POST", `/v2/b/blobs/uploads/?digest=${there}`, small],
      ["GET", `/v2/b/blobs/${there}`],
      ["HEAD", `/v2/b/blobs/${digest}`],
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 201, 200, 201, 200, 404]);
    expect(answers[0]?.headers.get("Content-Length")).toBe("1000");
    expect(answers[1]?.body).toEqual(Buffer.from(small));
    expect(digestFor(new Uint8Array(answers[3]?.body ?? []))).toBe(digest);
    expect(answers[5]?.body).toEqual(Buffer.from(small));
  });

  test("more than a thousand that wait end the connection, and are not kept in memory", async () => {
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    let asked = 0;
    const server = await serveHttp({
      hostname: "127.0.0.1",
      port: 0,
      async handle() {
        asked += 1;
        await held;
        return new Response(null, { status: 204 });
      },
    });
    afterwards(() => server.stop());
    await expect(pipeline(server.port, many(1001))).rejects.toThrow();
    const allowed = pipeline(server.port, many(1000));
    letGo();
    expect((await allowed).length).toBe(1000);
    expect(asked).toBeGreaterThanOrEqual(1000);
  });
});
