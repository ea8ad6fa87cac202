import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { connectTimeout } from "../../../src/http/connect-timeout.ts";
import { proxyErrors } from "../../../src/http/proxy-errors.ts";
import { httpFailureOf } from "../../../src/http/message/failure.ts";
import { bottom, get, serve } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";

/** A listener that is stopped, with as many waiting as the kernel holds: whoever comes next gets no word. */
let listener: Bun.Subprocess<"ignore", "pipe", "inherit">;
let port = 0;
const waiting: Socket[] = [];
const mostWaiting = 600;

beforeAll(async () => {
  const program = `require("node:net").createServer().listen({ port: 0, host: "127.0.0.1" }, function () {
    console.log(this.address().port);
  })`;
  listener = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
  for await (const text of listener.stdout.pipeThrough(new TextDecoderStream())) {
    port = Number(text);
    break;
  }
  listener.kill("SIGSTOP");
  // One after the other until one gets no answer: loopback answers at once.
  for (let full = false; !full;) {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const socket = connect(port, "127.0.0.1", () => resolve(false));
    socket.on("error", () => undefined);
    waiting.push(socket);
    const late = setTimeout(() => resolve(true), 500);
    full = await promise;
    clearTimeout(late);
    if (waiting.length > mostWaiting) throw new Error("the queue of connections is never full");
  }
});
afterAll(() => {
  for (const socket of waiting) socket.destroy();
  listener.kill("SIGKILL");
});

const limits = { doubtAfter: 200, timeout: 800 };

describe("a host that swallows connections", () => {
  test("is given up long before its answer would be due", async () => {
    const send = connectTimeout(bottom(), { env: {}, ...limits });
    const failure = await errorOf(send(get(`http://127.0.0.1:${port}/v2/`)));
    expect(failure).toMatchObject({ code: "network" });
    expect(failure.message).toBe(`127.0.0.1:${port}: no connection within 1 s`);
    expect(httpFailureOf(failure)?.kind).toBe("unconnected");
  });

  test("may be a proxy", async () => {
    const env = { HTTPS_PROXY: `http://127.0.0.1:${port}` };
    const send = proxyErrors(connectTimeout(bottom({ env }), { env, ...limits }), env);
    const failure = await errorOf(send(get("https://registry.invalid/v2/")));
    expect(failure.message).toBe(
      `registry.invalid: the proxy 127.0.0.1:${port} (HTTPS_PROXY): no connection within 1 s`,
    );
  });

  test("is left alone by an interruption", async () => {
    const stop = new AbortController();
    const send = connectTimeout(bottom(), { env: {}, doubtAfter: 20, timeout: 60_000 });
    const asked = errorOf(send(get(`http://127.0.0.1:${port}/`, { signal: stop.signal })));
    setTimeout(() => stop.abort(new Error("enough")), 50);
    expect(await asked).toMatchObject({ message: "enough" });
  });
});

test("a host that lets connect and takes its time is waited for", async () => {
  await using server = serve(async () => {
    await Bun.sleep(400);
    return new Response("late");
  });
  const send = connectTimeout(bottom(), { env: {}, doubtAfter: 20, timeout: 200 });
  expect((await send(get(server.origin))).status).toBe(200);
});

test("a host that has answered once is not doubted again", async () => {
  let connections = 0;
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: () => void connections++,
      data(socket, data) {
        const late = data.toString("latin1").startsWith("GET /late");
        const answer = (): void =>
          void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        if (late) setTimeout(answer, 100);
        else answer();
      },
    },
  });
  const send = connectTimeout(bottom(), { env: {}, doubtAfter: 20, timeout: 200 });
  await send(get(`http://127.0.0.1:${server.port}/`));
  const before = connections;
  await send(get(`http://127.0.0.1:${server.port}/late`));
  expect(connections).toBe(before);
  server.stop(true);
});
