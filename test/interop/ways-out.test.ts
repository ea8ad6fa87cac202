import { describe, expect, test } from "bun:test";
import { cp, mkdir } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { startDockerRegistry } from "../../scripts/registries.ts";
import { makeCertificate } from "../support/certificates.ts";
import { startConnectProxy } from "../support/connect-proxy.ts";
import { testWith } from "../support/programs/test-with.ts";
import { workbench } from "../support/programs/workbench.ts";

const { makeDirectory, ocibundle, shared } = workbench();

/** Weights, pushed to where `to` is, pulled from there, and compared. */
async function goRound(
  to: string,
  { flags = [], env = {} }: { flags?: string[]; env?: Record<string, string> } = {},
): Promise<void> {
  const cwd = await makeDirectory("weights");
  const run = (...args: string[]) => ocibundle([...args], { cwd, env });
  await run("mock-weights", "-n", "2", "--min-size", "5mb", "--max-size", "9mb");
  await run("push", to, "--weights", "weights", ...flags);
  await run("inspect", to, ...flags);
  await run("copy", to, `${to}-copied`, ...flags);
  await run("pull", `${to}-copied`, "-o", "models", "--no-cache", ...flags);
  expect(await run("verify", "weights.lock", "--dir", "models")).toContain("OK: ");
}

/** What a run that must fail has said. */
async function failing(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  try {
    await ocibundle(args, { env });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error("it did not fail");
}

const withTls = shared(async (at) => {
  const certificate = await makeCertificate(at);
  const tls = { certificate: certificate.cert, key: certificate.key };
  return { ...(await startDockerRegistry(at, { tls })), ...certificate };
});

describe("through a proxy that makes tunnels", () => {
  const behind = shared(async () => {
    const { address } = await withTls();
    return startConnectProxy({ "registry.test:443": address }, "ada:s3cret");
  });

  testWith(["docker-registry"], "a model goes up and comes down", async () => {
    const { authority } = await withTls();
    const proxy = await behind();
    const env = { HTTPS_PROXY: `http://ada:s3cret@${proxy.address}` };
    await goRound("registry.test/acme/llama:v1", { flags: ["--ca-file", authority], env });
    const lines = new Set(proxy.asked.map(({ line }) => line));
    expect([...lines]).toEqual(["CONNECT registry.test:443 HTTP/1.1"]);
  });

  testWith(
    ["docker-registry"],
    "a wrong password is not the registry's fault, nor shown",
    async () => {
      const { authority } = await withTls();
      const proxy = await behind();
      const env = { HTTPS_PROXY: `http://ada:wr0ng@${proxy.address}` };
      const said = await failing(
        ["inspect", "registry.test/acme/llama:v1", "--ca-file", authority, "-v"],
        env,
      );
      expect(said).toContain(
        `the proxy ${proxy.address} (HTTPS_PROXY) requires a username and password`,
      );
      expect(said).not.toContain("wr0ng");
      expect(said).not.toContain(btoa("ada:wr0ng"));
    },
  );
});

describe("a registry that asks for a client's certificate", () => {
  const strict = shared(async (at) => {
    const certificate = await makeCertificate(at);
    const { cert, key, authority } = certificate;
    const tls = { certificate: cert, key, clientcas: [authority] };
    return { ...(await startDockerRegistry(at, { tls })), ...certificate };
  });

  testWith(["docker-registry"], "is shown the one of the flags", async () => {
    const { address, authority, cert, key } = await strict();
    const flags = ["--ca-file", authority, "--cert-file", cert, "--key-file", key];
    await goRound(`${address}/acme/llama:v1`, { flags });
  });

  testWith(["docker-registry"], "is shown the one of Docker's directory", async () => {
    const { address, authority, cert, key } = await strict();
    const config = await makeDirectory("config");
    const certs = join(config, "docker", "certs.d", address);
    await mkdir(certs, { recursive: true });
    await cp(authority, join(certs, "ca.crt"));
    await cp(cert, join(certs, "client.cert"));
    await cp(key, join(certs, "client.key"));
    await goRound(`${address}/acme/docker:v1`, { env: { XDG_CONFIG_HOME: config } });
  });

  testWith(["docker-registry"], "says so to who has none, as far as it does", async () => {
    const { address, authority } = await strict();
    const said = await failing(["inspect", `${address}/acme/llama:v1`, "--ca-file", authority]);
    expect(said).toContain("the TLS connection failed");
    expect(said).toContain("if it requires a client certificate, use --cert-file and --key-file");
  });
});

describe("a registry at an IPv6 address", () => {
  const loopback = Object.values(networkInterfaces()).flat();
  const here = loopback.some((one) => one?.address === "::1");
  const tryOut: typeof testWith = (parts, name, body) =>
    here ? testWith(parts, name, body) : test.skip(`${name} (there is no IPv6 here)`, body);
  const plain = shared((at) => startDockerRegistry(at, { listenOn: "[::1]" }));
  const secure = shared(async (at) => {
    const certificate = await makeCertificate(at);
    const tls = { certificate: certificate.cert, key: certificate.key };
    return { ...(await startDockerRegistry(at, { tls, listenOn: "[::1]" })), ...certificate };
  });

  tryOut(["docker-registry"], "is pushed to and pulled from", async () => {
    const { address } = await plain();
    expect(address).toStartWith("[::1]:");
    await goRound(`${address}/acme/llama:v1`);
  });

  tryOut(["docker-registry"], "over TLS too", async () => {
    const { address, authority } = await secure();
    await goRound(`${address}/acme/llama:v1`, { flags: ["--ca-file", authority] });
  });
});

testWith(
  ["docker-registry"],
  "a registry of TLS that is spoken to in the clear says so",
  async () => {
    const { address } = await withTls();
    const said = await failing(["inspect", `${address}/acme/llama:v1`]);
    expect(said).toContain("use --ca-file or --insecure");
  },
);
