import { expect, test } from "bun:test";
import { proxyFor } from "../../../src/http/proxy.ts";
import { createRegistry } from "../../../src/registry/registry.ts";
import { failureOf, never, recordedPatience, serve, serveBytes } from "./scripted.ts";

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
    patience: recordedPatience(),
  });
  await failureOf(registry.ping(never));
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
