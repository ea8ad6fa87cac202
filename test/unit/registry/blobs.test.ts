import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { registryReader } from "../../../src/registry/reader.ts";
import { refusalOf } from "../../../src/registry/refusal.ts";
import { never, serveBytes } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";
import {
  blobOf,
  bytesOf,
  readAll,
  refusal,
  repositoryAt,
  scripted,
} from "../../support/registry/registry-client.ts";

const content = "0123456789";
const blob = blobOf(content);
const range = { start: 2, end: 5 };

const partial = (contentRange: string, body = "234"): Response =>
  new Response(bytesOf(body), { status: 206, headers: { "content-range": contentRange } });

describe("a range of a blob", () => {
  test("is asked for with its last byte, and never of a manifest", async () => {
    await using server = scripted(() => partial("bytes 2-4/10"));
    const answer = await server.repository.getBlob(blob, range, never);
    expect(await readAll(answer.body)).toBe("234");
    expect(server.seen[0]?.headers.get("range")).toBe("bytes=2-4");
    expect(server.seen[0]?.path).toBe(`/v2/acme/llama/blobs/${blob.digest}`);
  });

  test("that is ignored is told as the whole", async () => {
    await using server = scripted(() => new Response(content));
    const answer = await server.repository.getBlob(blob, range, never);
    expect(answer.range).toEqual({ start: 0, end: 10 });
    expect(await readAll(answer.body)).toBe(content);
  });

  test.each(["bytes 0-2/10", "bytes 2-5/10", "bytes 2-3/10", "bytes 3-4/10", "2-4/10", ""])(
    "answered with %p is refused with a status to choose by",
    async (contentRange) => {
      await using server = scripted(() => partial(contentRange));
      const failure = await errorOf(server.repository.getBlob(blob, range, never));
      expect(failure).toMatchObject({ code: "network" });
      expect(refusalOf(failure)?.status).toBe(206);
    },
  );

  test("of a blob that is said to have another size is refused so that the whole is asked for", async () => {
    const whole = { bytes: content };
    await using server = scripted(({ headers }) =>
      headers.get("range") === null ? new Response(whole.bytes) : partial("bytes 2-4/11"),
    );
    const failure = await errorOf(server.repository.getBlob(blob, range, never));
    expect(failure.message).toContain("a range of 11 bytes, the descriptor has 10");
    expect(refusalOf(failure)?.status).toBe(206);
    // Where only the header is wrong the bytes are right; where the blob is another, its length says so.
    const source = await registryReader(server.repository).blobSource(blob, never);
    if (source.kind !== "stream") throw new Error("a registry streams");
    expect(await readAll(await source.open(range, never))).toBe("234");
    whole.bytes = `${content}x`;
    const other = await errorOf(Promise.resolve(source.open(range, never)));
    expect(other).toMatchObject({ code: "integrity" });
    expect(other.message).toContain("has 11 bytes, the descriptor has 10");
  });

  test.each([400, 416, 501])("refused with %d keeps the status", async (status) => {
    await using server = scripted(() => refusal(status, "UNSUPPORTED"));
    const failure = await errorOf(server.repository.getBlob(blob, range, never));
    expect(refusalOf(failure)).toMatchObject({ status, codes: ["UNSUPPORTED"] });
  });

  test("in the whole blob's place is cut out by a reader, which asks without a range if it must", async () => {
    await using server = scripted(({ headers }) =>
      headers.get("range") === null ? new Response(content) : refusal(416, "UNSUPPORTED"),
    );
    const source = await registryReader(server.repository).blobSource(blob, never);
    if (source.kind !== "stream") throw new Error("a registry streams");
    expect(await readAll(await source.open(range, never))).toBe("234");
    expect(await readAll(await source.open({ start: 9, end: 10 }, never))).toBe("9");
  });
});

describe("a whole blob", () => {
  test("that breaks off is an error that names it", async () => {
    await using server = serveBytes((socket) => {
      socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
    });
    const { body } = await repositoryAt(server.host).getBlob(blob, undefined, never);
    const failure = await errorOf(readAll(body));
    expect(failure).toMatchObject({ code: "network" });
    expect(failure.message).toStartWith(`${server.host}/acme/llama: blob ${blob.digest}: `);
  });

  test("of another length is an integrity error before a byte is read", async () => {
    await using server = scripted(() => new Response("01234"));
    const failure = await errorOf(server.repository.getBlob(blob, undefined, never));
    expect(failure).toMatchObject({ code: "integrity" });
  });

  test("may come from elsewhere by a signed URL, which gets no authorisation and is not told", async () => {
    await using storage = scripted(({ path }) =>
      path.includes("gone") ? new Response("", { status: 403 }) : new Response(content),
    );
    await using server = scripted(
      (_, count) =>
        new Response("", {
          status: 307,
          headers: { location: `${storage.origin}/${count === 1 ? "x" : "gone"}?sig=s3cret` },
        }),
    );
    const answer = await server.repository.getBlob(blob, undefined, never);
    expect(await readAll(answer.body)).toBe(content);
    const failure = await errorOf(server.repository.getBlob(blob, undefined, never));
    expect(failure).toMatchObject({ code: "denied" });
    expect(failure.message + String(failure.cause)).not.toContain("s3cret");
  });
});

/** A server of one chunked answer. */
const inChunks = (body: Uint8Array | string, headers = "") =>
  serveBytes((socket, head) => {
    const start = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${headers}\r\n`;
    socket.write(start);
    if (!head.startsWith("HEAD")) {
      socket.write(`${body.length.toString(16)}\r\n`);
      socket.write(body);
      socket.write("\r\n0\r\n\r\n");
    }
    socket.end();
  });

describe("whether a blob is there", () => {
  test("is asked by HEAD", async () => {
    await using server = scripted(() => new Response(content));
    expect(await server.repository.headBlob(blob.digest, never)).toBe(10);
    expect(server.seen.map(({ method }) => method)).toEqual(["HEAD"]);
  });

  test("is told by one byte where the length got lost", async () => {
    await using server = serveBytes((socket, head) => {
      socket.end(
        head.startsWith("HEAD")
          ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          : "HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-0/10\r\nContent-Length: 1\r\n\r\n0",
      );
    });
    expect(await repositoryAt(server.host).headBlob(blob.digest, never)).toBe(10);
  });

  test.each([400, 403, 405, 406, 501])(
    "is told by one byte after HEAD is refused: %d",
    async (status) => {
      await using server = scripted(({ method }) =>
        method === "HEAD" ? new Response("", { status }) : partial("bytes 0-0/10", "0"),
      );
      expect(await server.repository.headBlob(blob.digest, never)).toBe(10);
      const asked = server.seen.filter(({ path }) => path !== "/v2/");
      expect(asked.map(({ method }) => method)).toEqual(["HEAD", "GET"]);
    },
  );

  test.each([302, 410, 418, 500, 502, 503, 504])(
    "is told by one byte after a single HEAD that failed: %d",
    async (status) => {
      await using server = scripted(({ method, path }) =>
        method === "HEAD"
          ? new Response("", { status, headers: status === 302 ? { location: path } : {} })
          : partial("bytes 0-0/10", "0"),
      );
      expect(await server.repository.headBlob(blob.digest, never)).toBe(10);
      const asked = server.seen.filter(({ path }) => path !== "/v2/").map(({ method }) => method);
      expect(asked.filter((method) => method === "GET")).toHaveLength(1);
      if (status !== 302) expect(asked).toEqual(["HEAD", "GET"]);
    },
  );

  test("is told by one byte after HEAD broke off", async () => {
    await using server = serveBytes((socket, request) => {
      socket.end(
        request.startsWith("HEAD")
          ? ""
          : "HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-0/10\r\nContent-Length: 1\r\n\r\n0",
      );
    });
    expect(await repositoryAt(server.host).headBlob(blob.digest, never)).toBe(10);
  });

  test("is asked by HEAD again after too many requests, and by nothing else", async () => {
    await using server = scripted(({ path }, count) =>
      path === "/v2/" || count > 3 ? new Response(content) : new Response("", { status: 429 }),
    );
    expect(await server.repository.headBlob(blob.digest, never)).toBe(10);
    const asked = server.seen.filter(({ path }) => path !== "/v2/").map(({ method }) => method);
    expect(asked.length).toBeGreaterThan(1);
    expect(new Set(asked)).toEqual(new Set(["HEAD"]));
  });

  test("is an error where HEAD and GET fail", async () => {
    await using server = scripted(
      ({ path }) => new Response("", { status: path === "/v2/" ? 200 : 500 }),
    );
    const failure = await errorOf(server.repository.headBlob(blob.digest, never));
    expect(failure).toMatchObject({ code: "network" });
  });

  test("is not said by a HEAD that was refused", async () => {
    await using server = scripted(({ method }) =>
      method === "HEAD" ? new Response("", { status: 405 }) : refusal(404, "BLOB_UNKNOWN"),
    );
    expect(await server.repository.headBlob(blob.digest, never)).toBeUndefined();
  });

  test.each(["0", "7"])("is told by one byte where HEAD says the length is %s", async (length) => {
    await using server = serveBytes((socket, head) => {
      socket.end(
        head.startsWith("HEAD")
          ? `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`
          : "HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-0/10\r\nContent-Length: 1\r\n\r\n0",
      );
    });
    expect(await repositoryAt(server.host).headBlob(blob.digest, never, 10)).toBe(10);
  });

  test("is as large as expected where nobody tells its size", async () => {
    await using server = serveBytes((socket, head) => {
      socket.end(
        head.startsWith("HEAD")
          ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          : "HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-0/*\r\nContent-Length: 1\r\n\r\n0",
      );
    });
    expect(await repositoryAt(server.host).headBlob(blob.digest, never, 10)).toBe(10);
  });

  test("is told by its bytes where an answer has no length, no range and no digest", async () => {
    await using server = await inChunks("0123456789");
    expect(await repositoryAt(server.host).headBlob(blob.digest, never, 10)).toBe(10);
  });

  test("is told by its bytes where they are compressed on their way", async () => {
    await using server = await inChunks(gzipSync(content), "Content-Encoding: gzip\r\n");
    expect(await repositoryAt(server.host).headBlob(blob.digest, never, 10)).toBe(10);
  });

  test("is told by the digest that the registry names, however large it is", async () => {
    const named = `Docker-Content-Digest: ${blob.digest}\r\n`;
    await using server = await inChunks("0123", named);
    expect(await repositoryAt(server.host).headBlob(blob.digest, never, 1e9)).toBe(1e9);
  });

  test.each([
    ["of the same length", "9876543210", 10],
    ["that is longer", "0123456789<!doctype html>", 10],
    ["in place of a large blob", "<!doctype html>", 1e9],
  ])("is not told by any page, such as one %s", async (_, page, size) => {
    await using server = await inChunks(page);
    const failure = await errorOf(repositoryAt(server.host).headBlob(blob.digest, never, size));
    expect(failure).toMatchObject({
      code: "network",
      hint: `check that ${server.host} is a registry`,
    });
  });

  test("with another size is told, when HEAD and GET agree on it", async () => {
    await using server = scripted(() => new Response("01234"));
    expect(await server.repository.headBlob(blob.digest, never, 10)).toBe(5);
  });

  test("an empty one has no first byte", async () => {
    await using server = scripted(({ method }) =>
      method === "HEAD"
        ? new Response("")
        : new Response("", { status: 416, headers: { "content-range": "bytes */0" } }),
    );
    expect(await server.repository.headBlob(blob.digest, never)).toBe(0);
    expect(await server.repository.headBlob(blob.digest, never, 0)).toBe(0);
  });

  test.each([
    [401, "denied"],
    [403, "denied"],
    [500, "network"],
  ])("is not known after %d", async (status, code) => {
    await using server = scripted(() => new Response("", { status }));
    const failure = await errorOf(server.repository.headBlob(blob.digest, never));
    expect(failure).toMatchObject({ code });
    expect(failure.message).toContain(`blob ${blob.digest}`);
  });
});
