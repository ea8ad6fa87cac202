import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { OcibundleError } from "../../../src/errors.ts";
import { sendBody } from "../../../src/serve/send-body.ts";
import { listen, type Listening, type ListenOptions } from "../../../src/serve/server.ts";
import { afterwards } from "../../support/afterwards.ts";

const never = new AbortController().signal;
const atOnce = AbortSignal.abort();

async function listening(options: Partial<ListenOptions> = {}): Promise<Listening> {
  const server = await listen({
    address: "127.0.0.1",
    port: 0,
    maxConnections: 100,
    patience: { request: 60_000, reading: 60_000 },
    handle: async (_message, response) => {
      response.end("hello");
    },
    ...options,
  });
  afterwards(() => server.close(atOnce));
  return server;
}

async function connected({ port }: Listening): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

/** A connection that has begun to say something: of others a server may not know yet. */
async function speaking(server: Listening): Promise<Socket> {
  const before = server.connections();
  const socket = await connected(server);
  socket.write("GET / HT");
  while (server.connections() === before) await new Promise((resolve) => setTimeout(resolve, 5));
  return socket;
}

const closed = (socket: Socket): Promise<unknown> =>
  new Promise((resolve) => socket.resume().once("close", resolve));

const get = ({ port }: Listening, path = "/"): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}${path}`);

describe("a server", () => {
  test("lets go of 500 connections that send nothing, and answers others meanwhile", async () => {
    const server = await listening({
      maxConnections: 600,
      patience: { request: 300, reading: 60_000 },
    });
    const sockets = await Promise.all(Array.from({ length: 500 }, () => connected(server)));
    expect(await (await get(server)).text()).toBe("hello");
    await Promise.all(sockets.map(closed));
    expect(server.connections()).toBeLessThanOrEqual(1);
  });

  test("lets go of who sends half a request", async () => {
    const server = await listening({ patience: { request: 100, reading: 60_000 } });
    const socket = await connected(server);
    socket.write("GET / HTTP/1.1\r\nHost: ");
    await closed(socket);
  });

  test.each([
    [
      "headers that are too long",
      `GET / HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(100_000)}\r\n\r\n`,
      431,
    ],
    ["a path that is too long", `GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
    ["too many headers", `GET / HTTP/1.1\r\nHost: x\r\n${"X: a\r\n".repeat(5000)}\r\n`, 431],
    ["what is no request", "\u0016\u0003\u0001 is TLS\r\n\r\n", 400],
    [
      "two lengths",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      400,
    ],
  ])("tells who sends %s what is wrong, and closes", async (_what, sent, status) => {
    const socket = await connected(await listening());
    const said: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => said.push(chunk));
    socket.write(sent);
    await closed(socket);
    const answer = Buffer.concat(said).toString();
    expect(answer).toStartWith(`HTTP/1.1 ${status} `);
    expect(answer).toContain("\r\nx-error-message: ");
  });

  test("says nothing more behind the head of an answer", async () => {
    const begun = Promise.withResolvers<void>();
    const server = await listening({
      handle: async (_message, response) => {
        response.writeHead(200, { "content-length": "1000" });
        response.write("begun");
        begun.resolve();
        await once(response, "close");
      },
    });
    const socket = await connected(server);
    const said: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => said.push(chunk));
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await begun.promise;
    socket.write("no request\r\n\r\n");
    await closed(socket);
    expect(Buffer.concat(said).toString()).not.toContain("400");
  });

  test("takes no more connections than it may", async () => {
    const server = await listening({ maxConnections: 2 });
    const sockets = [await speaking(server), await speaking(server)];
    const refused = await connected(server);
    refused.write("GET / HT");
    await closed(refused);
    for (const socket of sockets) socket.destroy();
    while (server.connections() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await (await get(server)).text()).toBe("hello");
  });

  test("keeps a connection for the next request", async () => {
    const server = await listening();
    const socket = await connected(server);
    for (const path of ["/one", "/two"]) {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
      const [answer] = (await once(socket, "data")) as [Buffer];
      expect(answer.toString()).toStartWith("HTTP/1.1 200 OK");
    }
    socket.destroy();
  });

  test("cuts a client that takes nothing of its answer", async () => {
    const failed = Promise.withResolvers<unknown>();
    const server = await listening({
      async handle(message, response) {
        response.writeHead(200, { "content-length": String(1e12) });
        const sending = { gone: never, patience: 200, onSent() {} };
        await sendBody(response, endless(), sending).catch((error: unknown) => {
          failed.resolve(error);
          message.socket.destroy();
        });
      },
    });
    // Sockets of the runtime read on into memory when they are paused.
    const command = `exec 3<>/dev/tcp/127.0.0.1/${server.port}; printf "GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" >&3; read -r`;
    const client = Bun.spawn(["bash", "-c", command], { stdin: "pipe" });
    expect(await failed.promise).toMatchObject({ name: "StalledClient" });
    while (server.connections() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    client.kill();
    await client.exited;
  });

  test("cuts the connection where an answer fails half-way", async () => {
    const server = await listening({
      async handle(_message, response) {
        response.writeHead(200, { "content-length": "10" });
        response.write("half");
        await new Promise((resolve) => setImmediate(resolve));
        throw new Error("no more");
      },
    });
    const answer = await get(server);
    expect(answer.headers.get("content-length")).toBe("10");
    await expect(answer.text()).rejects.toThrow();
  });

  test("ends when what it sends is sent", async () => {
    const go = Promise.withResolvers<void>();
    const server = await listening({
      async handle(_message, response) {
        response.writeHead(200, { "content-length": "4" });
        response.write("ab");
        await go.promise;
        response.end("cd");
      },
    });
    const answer = await get(server);
    const idle = closed(await speaking(server));
    const end = server.close(never);
    await expect(get(server)).rejects.toThrow();
    go.resolve();
    expect(await answer.text()).toBe("abcd");
    await Promise.all([end, idle]);
  });

  test("does not wait for longer than it is told to", async () => {
    const server = await listening({ handle: () => new Promise(() => undefined) });
    const socket = await connected(server);
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    while (server.connections() === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await server.close(AbortSignal.timeout(50));
    await closed(socket);
  });

  test("says that its port is in use", async () => {
    const { port } = await listening();
    const error = await listening({ port }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OcibundleError);
    expect(error).toMatchObject({ code: "conflict", hint: expect.stringContaining("--listen") });
  });

  test("says that its address is not this machine's", async () => {
    // RFC 5737: no machine has it.
    const error = await listening({ address: "192.0.2.1" }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "usage",
      message: "cannot listen on 192.0.2.1:0: this machine does not have the address",
    });
  });
});

async function* endless(): AsyncGenerator<Uint8Array, void, undefined> {
  for (;;) yield new Uint8Array(65_536);
}
