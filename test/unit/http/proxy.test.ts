import { describe, expect, test } from "bun:test";
import { proxyFor } from "../../../src/http/proxy.ts";
import { createRegistry } from "../../../src/registry/registry.ts";
import {
  never,
  recordedEvents,
  recordedClock,
  serve,
  serveBytes,
} from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";

const https = "https://registry.example.com/v2/";
const http = "http://registry.example.com/v2/";
const proxy = "http://proxy:3128";

test.each([
  [https, { HTTPS_PROXY: proxy }, proxy],
  [https, { https_proxy: proxy, HTTPS_PROXY: "http://other" }, proxy],
  [https, { HTTP_PROXY: proxy }, undefined],
  [http, { HTTP_PROXY: proxy }, proxy],
  [http, { HTTPS_PROXY: proxy }, undefined],
  [https, { ALL_PROXY: proxy }, proxy],
  [https, { HTTPS_PROXY: "proxy:3128" }, proxy],
  [https, { HTTPS_PROXY: "" }, undefined],
  [https, { HTTPS_PROXY: proxy, NO_PROXY: "*" }, undefined],
  [https, { HTTPS_PROXY: proxy, NO_PROXY: "a.test, example.com" }, undefined],
  [https, { HTTPS_PROXY: proxy, no_proxy: ".example.com" }, undefined],
  [https, { HTTPS_PROXY: proxy, NO_PROXY: "registry.example.com:443" }, undefined],
  [https, { HTTPS_PROXY: proxy, NO_PROXY: "registry.example.com:5000" }, proxy],
  [https, { HTTPS_PROXY: proxy, NO_PROXY: "ample.com" }, proxy],
  [https, { HTTPS_PROXY: proxy, NO_PROXY: "example.org,," }, proxy],
  ["https://[fd00::1]:5000/", { HTTPS_PROXY: proxy, NO_PROXY: "[fd00::1]" }, undefined],
  ["https://[fd00::1]:5000/", { HTTPS_PROXY: proxy, NO_PROXY: "fd00::1" }, undefined],
  ["https://[fd00::1]/", { HTTPS_PROXY: proxy, NO_PROXY: "FD00:0::1" }, undefined],
  ["https://[fd00::1]:5000/", { HTTPS_PROXY: proxy, NO_PROXY: "[fd00::1]:443" }, proxy],
  ["https://10.1.2.3/", { HTTPS_PROXY: proxy, NO_PROXY: "10.0.0.0/8" }, undefined],
  ["https://[fd12::1]/", { HTTPS_PROXY: proxy, NO_PROXY: "fd00::/8" }, undefined],
  ["https://10.1.2.3/", { HTTPS_PROXY: proxy, NO_PROXY: "10.0.0.0/99,x/8,/" }, proxy],
  ["https://11.1.2.3/", { HTTPS_PROXY: proxy, NO_PROXY: "10.0.0.0/8" }, proxy],
  ["http://127.0.0.1:5000/", { HTTP_PROXY: proxy }, undefined],
  ["http://localhost:5000/", { ALL_PROXY: proxy }, undefined],
])("%p with %p goes through %p", (url, env, expected) => {
  expect(proxyFor(new URL(url), env)).toBe(expected);
});

test("a registry in the clear is reached through the proxy, which alone knows its name", async () => {
  await using server = serve(() => new Response("{}"));
  const registry = createRegistry("registry.invalid", {
    plainHttp: true,
    env: { HTTP_PROXY: server.origin },
  });
  await registry.ping(never);
  expect(server.seen.map(({ headers }) => headers.get("host"))).toEqual(["registry.invalid"]);
});

test("Docker's registry is spoken to by its name on the wire, over TLS", async () => {
  const heads: string[] = [];
  await using server = serveBytes((socket, head) => {
    heads.push(head);
    socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
  });
  const registry = createRegistry("docker.io", {
    env: { HTTPS_PROXY: server.origin },
    clock: recordedClock(),
  });
  await errorOf(registry.ping(never));
  expect(heads[0]).toStartWith("CONNECT registry-1.docker.io:443 HTTP/1.1\r\n");
});

test("the environment's own proxy is not asked behind our back", async () => {
  await using server = serve(() => new Response("{}"));
  process.env["HTTP_PROXY"] = "http://127.0.0.1:9";
  try {
    await createRegistry(server.host).ping(never);
  } finally {
    delete process.env["HTTP_PROXY"];
  }
  expect(server.seen).toHaveLength(1);
});

/** A registry behind a proxy, with what was told, and how often it waited. */
function behind(HTTPS_PROXY: string) {
  const clock = recordedClock();
  const { events, emit } = recordedEvents();
  const registry = createRegistry("registry.invalid", { env: { HTTPS_PROXY }, clock, emit });
  return { ping: () => errorOf(registry.ping(never)), clock, events };
}

const answering = (status: string) =>
  serveBytes((socket) => socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`));

describe("what a proxy does wrong is told of it", () => {
  test("that it wants a login, at once and without the one that was given", async () => {
    await using server = answering("407 Proxy Authentication Required");
    const { ping, clock, events } = behind(`http://ada:s3cret@${server.host}`);
    const failure = await ping();
    expect(failure).toMatchObject({
      code: "denied",
      hint: "set HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT, or add registry.invalid to NO_PROXY",
    });
    expect(failure.message).toBe(
      `registry.invalid: the registry API: the proxy ${server.host} (HTTPS_PROXY) requires a username and password (407)`,
    );
    expect(clock.pauses).toEqual([]);
    expect(JSON.stringify(events)).not.toContain("s3cret");
  });

  test("the same in the clear", async () => {
    await using server = serve(() => new Response("", { status: 407 }));
    const registry = createRegistry("registry.invalid", {
      plainHttp: true,
      env: { http_proxy: server.origin },
    });
    const failure = await errorOf(registry.ping(never));
    expect(failure).toMatchObject({ code: "denied" });
    expect(failure.message).toContain(`the proxy ${server.host} (http_proxy) requires a username`);
  });

  test("that it does not connect", async () => {
    await using server = answering("403 Forbidden");
    const { ping, clock } = behind(server.origin);
    const failure = await ping();
    expect(failure).toMatchObject({
      code: "network",
      hint: "check HTTPS_PROXY, or add registry.invalid to NO_PROXY",
    });
    expect(failure.message).toContain(
      `the proxy ${server.host} (HTTPS_PROXY): tunnel refused (403)`,
    );
    expect(clock.pauses).toHaveLength(2);
  });

  test("that it is not there, or has no address", async () => {
    const failure = await behind("http://127.0.0.1:1").ping();
    expect(failure.message).toContain("the proxy 127.0.0.1:1 (HTTPS_PROXY): connection refused");
    const nameless = await behind("http://ada:s3cret@proxy.invalid:3128").ping();
    expect(nameless.message).toContain(
      "the proxy proxy.invalid:3128 (HTTPS_PROXY): could not resolve the host name",
    );
    expect(nameless.message).not.toContain("s3cret");
  });

  test("that it breaks off, which may be the registry's doing", async () => {
    await using server = serveBytes((socket) => socket.end());
    const failure = await behind(server.origin).ping();
    expect(failure.message).toContain(
      `the connection was closed before the response was complete, through the proxy ${server.host} (HTTPS_PROXY)`,
    );
  });

  test.each([
    ["socks5://ada:s3cret@127.0.0.1:1080", 'proxies of type "socks5" are not supported'],
    ["://s3cret", "not a valid proxy URL"],
    ["http://ada:s3cret@127.0.0.1:99999", "not a valid proxy URL"],
  ])("and %p is none", async (value, why) => {
    const { ping, clock } = behind(value);
    const failure = await ping();
    expect(failure).toMatchObject({ code: "usage", message: `HTTPS_PROXY: ${why}` });
    expect(failure.message).not.toContain("s3cret");
    expect(clock.pauses).toEqual([]);
  });
});
