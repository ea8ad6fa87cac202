import { describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { serveHttp } from "../../../../src/harness/registry/instance/http-server.ts";
import { afterwards } from "../../../support/afterwards.ts";
import {
  type Client,
  digestFor,
  random,
  registry,
} from "../../../support/registry/embedded-client.ts";

// What only shows on a real connection: lengths, unread bodies, connections that break.

async function served(): Promise<Client & { url: string; port: number }> {
  const client = await registry();
  const server = await serveHttp({ hostname: "127.0.0.1", port: 0, handle: client.handler });
  afterwards(() => server.stop());
  return { ...client, port: server.port, url: `http://127.0.0.1:${server.port}` };
}

async function opened(url: string): Promise<string> {
  const response = await fetch(`${url}/v2/a/blobs/uploads/`, { method: "POST" });
  return url + (response.headers.get("Location") ?? "");
}

describe("over a connection", () => {
  test("a blob comes whole and in ranges, with its length", async () => {
    const { blob, url } = await served();
    const content = random(9 * 1024 * 1024 + 1);
    const path = `${url}/v2/a/blobs/${await blob("a", content)}`;

    const whole = await fetch(path);
    expect(whole.headers.get("Content-Length")).toBe(String(content.length));
    expect(digestFor(new Uint8Array(await whole.arrayBuffer()))).toBe(digestFor(content));

    const head = await fetch(path, { method: "HEAD" });
    expect(head.headers.get("Content-Length")).toBe(String(content.length));

    const ranges = [0, 3_000_000, 6_000_000].map(async (start) => {
      const end = Math.min(start + 3_000_000, content.length);
      const response = await fetch(path, { headers: { Range: `bytes=${start}-${end - 1}` } });
      expect(response.status).toBe(206);
      expect(response.headers.get("Content-Range")).toBe(
        `bytes ${start}-${end - 1}/${content.length}`,
      );
      expect(response.headers.get("Content-Length")).toBe(String(end - start));
      const bytes = new Uint8Array(await response.arrayBuffer());
      expect(Buffer.compare(bytes, content.subarray(start, end))).toBe(0);
    });
    await Promise.all(ranges);

    const outside = await fetch(path, { headers: { Range: `bytes=${content.length}-` } });
    expect(outside.status).toBe(416);
  });

  test("a body passes both ways, and nobody is answered after the end", async () => {
    const server = await serveHttp({
      hostname: "127.0.0.1",
      port: 0,
      handle: (request) => Promise.resolve(new Response(request.body)),
    });
    const url = `http://127.0.0.1:${server.port}`;
    const body = random(5_000_000);
    const answer = await fetch(url, { method: "POST", body });
    expect(Buffer.compare(await answer.bytes(), body)).toBe(0);
    await server.stop();
    await expect(fetch(url)).rejects.toThrow();
  });

  test("an empty blob has length 0", async () => {
    const { blob, url } = await served();
    const response = await fetch(`${url}/v2/a/blobs/${await blob("a", "")}`);
    expect(response.headers.get("Content-Length")).toBe("0");
    expect(await response.text()).toBe("");
  });

  test("a refusal is answered though the body was never read, and the next request works", async () => {
    const { url } = await served();
    const location = await opened(url);
    const body = random(20 * 1024 * 1024);
    const refused = await fetch(location, {
      method: "PATCH",
      body,
      headers: { "Content-Range": `1-${body.length}` },
    });
    expect(refused.status).toBe(416);
    const manifest = await fetch(`${url}/v2/a/manifests/v1`, { method: "PUT", body });
    expect(manifest.status).toBe(413);
    expect((await fetch(location)).status).toBe(204);
  });

  test("an upload goes on where its connection broke", async () => {
    const { url, port } = await served();
    const location = await opened(url);
    const content = random(10 * 1024 * 1024);
    const cut = 7 * 1024 * 1024 + 3;
    const socket = connect(port, "127.0.0.1");
    const { promise: sent, resolve } = Promise.withResolvers<void>();
    socket.write(
      `PATCH ${new URL(location).pathname} HTTP/1.1\r\nHost: x\r\nContent-Length: ${content.length}\r\n\r\n`,
    );
    socket.write(content.subarray(0, cut), () => resolve());
    await sent;
    // A half-closed connection still delivers what was sent before.
    socket.end();
    let status = await fetch(location);
    for (let tries = 0; status.headers.get("Range") === "0-0" && tries < 1000; tries += 1) {
      await Bun.sleep(5);
      status = await fetch(location);
    }
    const received = Number(status.headers.get("Range")?.split("-")[1]) + 1;
    expect(received).toBeGreaterThan(1);
    expect(received).toBeLessThanOrEqual(cut);
    const rest = await fetch(location, {
      method: "PATCH",
      body: content.subarray(received),
      headers: { "Content-Range": `${received}-${content.length - 1}` },
    });
    expect(rest.status).toBe(202);
    const put = await fetch(`${location}?digest=${digestFor(content)}`, { method: "PUT" });
    expect(put.status).toBe(201);
  });
});
