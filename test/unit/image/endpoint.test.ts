import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findEndpoint } from "../../../src/image/engine/endpoint.ts";
import { failureText } from "../../support/failure.ts";

let home: string;
let config: string;
let runtimeDir: string;
const sockets: Server[] = [];

async function listen(path: string): Promise<void> {
  const server = createServer();
  sockets.push(server);
  await mkdir(join(path, ".."), { recursive: true });
  await new Promise<void>((resolve) => server.listen(path, resolve));
}

async function context(name: string, endpoint: object, tls: Record<string, string> = {}) {
  const id = createHash("sha256").update(name).digest("hex");
  const meta = join(config, "contexts", "meta", id);
  await mkdir(meta, { recursive: true });
  await writeFile(
    join(meta, "meta.json"),
    JSON.stringify({ Name: name, Metadata: {}, Endpoints: { docker: endpoint } }),
  );
  const directory = join(config, "contexts", "tls", id, "docker");
  await mkdir(directory, { recursive: true });
  for (const [file, text] of Object.entries(tls)) await writeFile(join(directory, file), text);
}

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "endpoint-"));
  config = join(home, ".docker");
  runtimeDir = join(home, "run");
  await mkdir(config);
  await mkdir(runtimeDir);
  await context("work", { Host: "unix:///run/work.sock", SkipTLSVerify: false });
  await context(
    "far",
    { Host: "tcp://10.0.0.1:2376" },
    { "ca.pem": "CA", "cert.pem": "CERT", "key.pem": "KEY" },
  );
  await context("lax", { Host: "tcp://10.0.0.1:2376", SkipTLSVerify: true });
  await context("broken", { Port: 7 });
});
afterAll(async () => {
  for (const server of sockets) server.close();
  await rm(home, { recursive: true, force: true });
});

const find = (env: Record<string, string>) => findEndpoint({ HOME: home, ...env });

describe("the engine", () => {
  test("is where DOCKER_HOST says", async () => {
    expect(await find({ DOCKER_HOST: "unix:///run/x.sock" })).toEqual({
      url: "unix:///run/x.sock",
      origin: "DOCKER_HOST",
      address: { socketPath: "/run/x.sock" },
      tls: undefined,
    });
    for (const [url, address] of [
      ["tcp://127.0.0.1:2375", { host: "127.0.0.1", port: 2375 }],
      ["tcp://engine", { host: "engine", port: 2375 }],
      ["http://engine:80/", { host: "engine", port: 80 }],
      ["tcp://[::1]:4000", { host: "::1", port: 4000 }],
      ["npipe:////./pipe/docker_engine", { socketPath: "\\\\.\\pipe\\docker_engine" }],
    ] as const) {
      expect(await find({ DOCKER_HOST: url })).toMatchObject({ address, tls: undefined } as never);
    }
  });

  test("is spoken to with TLS where Docker's client would", async () => {
    const certs = join(home, "certs");
    await mkdir(certs);
    await writeFile(join(certs, "ca.pem"), "CA");
    const env = { DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: certs };
    expect(await find({ DOCKER_HOST: "tcp://engine", ...env })).toMatchObject({
      address: { host: "engine", port: 2376 },
      tls: { ca: Buffer.from("CA"), insecure: false },
    });
    expect(await find({ DOCKER_HOST: "https://engine" })).toMatchObject({
      tls: { insecure: false },
    });
  });

  test("is that of the context", async () => {
    expect(await find({ DOCKER_CONTEXT: "work" })).toEqual({
      url: "unix:///run/work.sock",
      origin: 'docker context "work"',
      address: { socketPath: "/run/work.sock" },
      tls: undefined,
    });
    expect(await find({ DOCKER_CONTEXT: "far" })).toMatchObject({
      tls: {
        ca: Buffer.from("CA"),
        cert: Buffer.from("CERT"),
        key: Buffer.from("KEY"),
        insecure: false,
      },
    });
    expect(await find({ DOCKER_CONTEXT: "lax" })).toMatchObject({ tls: { insecure: true } });
    expect(await find({ DOCKER_CONTEXT: "work", DOCKER_HOST: "unix:///h" })).toMatchObject({
      origin: "DOCKER_HOST",
    });
  });

  test("is that of the docker config's current context", async () => {
    const other = join(home, "other");
    await mkdir(other);
    await writeFile(join(other, "config.json"), '{"currentContext":"gone","auths":{}}');
    expect(await failureText(find({ DOCKER_CONFIG: other }))).toBe(
      'file: docker context "gone" does not exist',
    );
    await writeFile(join(config, "config.json"), '{"currentContext":"work"}');
    expect(await find({})).toMatchObject({ origin: 'docker context "work"' });
    expect(await find({ DOCKER_CONTEXT: "default" })).toMatchObject({ origin: undefined });
    await writeFile(join(config, "config.json"), "{");
    const warnings: string[] = [];
    const warn = (message: string): void => void warnings.push(message);
    expect(await findEndpoint({ HOME: home }, warn)).toMatchObject({ origin: undefined });
    await rm(join(config, "config.json"));
    await mkdir(join(config, "config.json"));
    expect(await findEndpoint({ HOME: home }, warn)).toMatchObject({ origin: undefined });
    await rm(join(config, "config.json"), { recursive: true });
    expect(warnings).toEqual([
      `${config}/config.json: not a JSON document; continuing without it`,
      `"${config}/config.json" is a directory; continuing without it`,
    ]);
  });

  test("is looked for at the usual places, rootless ones and Podman's too", async () => {
    const usual = { address: { socketPath: "/var/run/docker.sock" }, origin: undefined };
    const podman = join(runtimeDir, "podman", "podman.sock");
    const rootless = join(runtimeDir, "docker.sock");
    const isRunning = await Bun.file("/var/run/docker.sock")
      .stat()
      .then((stats) => stats.isSocket())
      .catch(() => false);
    const expected = (socketPath: string) => (isRunning ? usual : { address: { socketPath } });

    await listen(podman);
    expect(await find({ XDG_RUNTIME_DIR: runtimeDir })).toMatchObject(expected(podman));
    await listen(rootless);
    expect(await find({ XDG_RUNTIME_DIR: runtimeDir })).toMatchObject(expected(rootless));
    // Where nothing listens, the message names the place that most would expect.
    const { address } = await find({ XDG_RUNTIME_DIR: join(home, "none") });
    expect(["/var/run/docker.sock", "/run/podman/podman.sock"]).toContain(
      "socketPath" in address ? address.socketPath : "",
    );
  });

  for (const [url, why] of [
    ["ssh://host", `"ssh://host" is not supported: it uses ssh`],
    ["unix://relative", '"unix://relative" is not the path of a socket'],
    ["fd://3", '"fd://3" is not the address of an engine'],
    ["localhost", '"localhost" is not the address of an engine'],
    ["tcp://", '"tcp://" is not the address of an engine'],
    ["tcp://h:99999", '"tcp://h:99999" is not the address of an engine'],
    ["tcp://user@h", '"tcp://user@h" is not the address of an engine'],
    ["tcp://h/path", '"tcp://h/path" is not the address of an engine'],
  ] as const) {
    test(`is not at "${url}"`, async () => {
      expect(await failureText(find({ DOCKER_HOST: url }))).toBe(`usage: DOCKER_HOST: ${why}`);
    });
  }

  test("is not found by a broken context", async () => {
    expect(await failureText(find({ DOCKER_CONTEXT: "broken" }))).toMatch(
      /^file: .*meta.json: Endpoints.docker.Host: /,
    );
  });
});
