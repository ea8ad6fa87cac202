import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import { connect } from "node:net";
import { createHandler } from "../../../src/serve/handle.ts";
import type { HubFile, HubSource } from "../../../src/serve/hub-source.ts";
import { createMetrics } from "../../../src/serve/metrics.ts";
import { listen } from "../../../src/serve/server.ts";
import { afterwards } from "../../support/afterwards.ts";

const commit = "c".repeat(40);
const digest = `sha256:${"c".repeat(64)}` as const;

/** A server of one model with so many files, that has patience for so long; and how many answers are made at once. */
async function serving(
  files: number,
  patience: { request: number; reading: number },
  isHost: (host: string | undefined) => boolean = () => true,
  read: HubSource["read"] = () => Promise.reject(new Error("no bytes")),
) {
  const list = Array.from({ length: files }, (_, at): HubFile => {
    return { path: `weights/part-${at}`, size: 1, digest };
  });
  const byPath = new Map(list.map((file) => [file.path, file]));
  const asked = { now: 0, most: 0, all: 0 };
  const source: HubSource = {
    async snapshot(id) {
      asked.now += 1;
      asked.all += 1;
      asked.most = Math.max(asked.most, asked.now);
      await new Promise((resolve) => setImmediate(resolve));
      asked.now -= 1;
      return { id, commit, digest, files: list, byPath };
    },
    refs: () => Promise.resolve({ branches: [], tags: [] }),
    ids: () => [],
    read,
    isTainted: () => false,
  };
  const logged: string[] = [];
  const server = await listen({
    address: "127.0.0.1",
    port: 0,
    maxConnections: 10,
    patience,
    handle: createHandler({
      source,
      list: false,
      metrics: createMetrics(),
      isHost,
      isAllowed: () => true,
      maxBodies: 1,
      reading: patience.reading,
      sending: patience.request,
      waiting: 50,
      connections: () => 0,
      log: (line) => void logged.push(line),
    }),
  });
  afterwards(() => server.close(AbortSignal.abort()));
  return { server, asked, logged };
}

const treeRequest = "GET /api/models/a/b/tree/main?recursive=1 HTTP/1.1\r\nHost: x\r\n\r\n";

const halfBody =
  "POST /api/models/a/b/paths-info/main HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf";

describe("a request", () => {
  test.each([
    ["/api/models", "x", 404, "models are not listed; allow it with --list"],
    ["/a/b/resolve/main", "x", 404, 'ocibundle serves no "/a/b/resolve/main"'],
    ["/datasets/a/b", "x", 404, "ocibundle serves no datasets"],
    ["/", "evil.example:80", 421, 'the host "evil.example:80" is not served; allow it with'],
    ["/", `${"e".repeat(300)}\t"`, 421, `the host "${"e".repeat(256)}" is not served`],
  ])("for %p of %p names what is refused", async (path, host, status, message) => {
    const { server } = await serving(
      1,
      { request: 60_000, reading: 60_000 },
      (name) => name === "x",
    );
    const socket = connect(server.port, "127.0.0.1");
    let answer = "";
    socket.on("data", (bytes) => (answer += String(bytes)));
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    await once(socket, "close");
    expect(answer).toStartWith(`HTTP/1.1 ${status} `);
    expect(answer).toContain(`x-error-message: ${message}`);
  });
});

describe("a client that", () => {
  test("sends half a body is told, and loses its connection", async () => {
    const { server, logged } = await serving(1, { request: 100, reading: 60_000 });
    const socket = connect(server.port, "127.0.0.1");
    let answer = "";
    socket.on("error", () => undefined).on("data", (bytes) => (answer += String(bytes)));
    socket.write(halfBody);
    await once(socket, "close");
    expect(answer).toStartWith("HTTP/1.1 408 ");
    expect(answer).toContain("the body did not arrive within 0.1 s");
    expect(logged).toEqual([expect.stringContaining("paths-info/main 408 ")]);
  });

  test("goes away in the middle of a body is not a failure of the server", async () => {
    const { server, logged } = await serving(1, { request: 60_000, reading: 60_000 });
    const socket = connect(server.port, "127.0.0.1");
    socket.write(halfBody);
    await once(socket, "ready");
    while (server.connections() === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    socket.destroy();
    while (logged.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(logged[0]).toContain("paths-info/main 400 ");
  });

  test("asks ahead is answered in turn", async () => {
    const { server, asked } = await serving(1, { request: 60_000, reading: 60_000 });
    const socket = connect(server.port, "127.0.0.1");
    socket.write(treeRequest.repeat(50));
    let answers = 0;
    while (answers < 50) {
      const [bytes] = (await once(socket, "data")) as [Buffer];
      answers += bytes.toString().split("HTTP/1.1 200").length - 1;
    }
    expect(asked).toEqual({ now: 0, most: 1, all: 50 });
    socket.destroy();
  });

  test("asks too far ahead loses its connection", async () => {
    const { server, asked } = await serving(1, { request: 60_000, reading: 60_000 });
    const socket = connect(server.port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write(treeRequest.repeat(2000));
    await once(socket.resume(), "close");
    expect(asked.all).toBeLessThan(1000);
  });

  test("waits too long for its turn loses its connection, and what it was to get is let go", async () => {
    const held = { now: 0, all: 0 };
    const never = new AbortController();
    async function* bytes(): AsyncGenerator<Uint8Array, void, undefined> {
      try {
        yield new Uint8Array(1);
        await once(never.signal, "abort");
      } finally {
        held.now -= 1;
      }
    }
    const { server, logged } = await serving(
      1,
      { request: 60_000, reading: 60_000 },
      () => true,
      () => {
        // As a file that is open.
        held.now += 1;
        held.all += 1;
        return Promise.resolve({ from: "cache", chunks: bytes() });
      },
    );
    const ask = () => {
      const socket = connect(server.port, "127.0.0.1");
      socket.write("GET /a/b/resolve/main/weights/part-0 HTTP/1.1\r\nHost: x\r\n\r\n");
      return socket.on("error", () => undefined).resume();
    };
    const first = ask();
    while (held.now === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await once(ask(), "close");
    expect(logged).toEqual([expect.stringContaining("aborted: too many concurrent responses")]);
    while (held.now > 1) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(held.all).toBe(2);
    first.destroy();
    never.abort();
    while (held.now > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  test("takes nothing of a list loses its connection", async () => {
    const { server, logged } = await serving(60_000, { request: 60_000, reading: 200 });
    // Sockets of the runtime read on into memory when they are paused.
    const command = `exec 3<>/dev/tcp/127.0.0.1/${server.port}; printf '${treeRequest.replaceAll("\r\n", "\\r\\n")}' >&3; read -r`;
    const client = Bun.spawn(["bash", "-c", command], { stdin: "pipe" });
    while (logged.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(logged[0]).toContain("the client read nothing");
    while (server.connections() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    client.kill();
    await client.exited;
  });
});
