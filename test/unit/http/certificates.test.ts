import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificates, dockerCertificateFolders } from "../../../src/http/certificates.ts";
import { createRegistry } from "../../../src/registry/registry.ts";
import { makeCertificate, type TestCertificate } from "../../interop/certificates.ts";
import { failureOf, never, recordedPatience } from "./scripted.ts";

const origin = "https://registry.test";
let folder = "";
let first: TestCertificate & { authority: string };
let second: TestCertificate & { authority: string };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocibundle-certificates-"));
  const make = async (name: string) => {
    await mkdir(join(folder, name));
    return makeCertificate(join(folder, name));
  };
  [first, second] = await Promise.all([make("first"), make("second")]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A registry over TLS that asks its clients for a certificate of the second authority. */
async function serveTls(askClient: boolean) {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response("{}"),
    tls: {
      cert: await readFile(first.cert, "utf8"),
      key: await readFile(first.key, "utf8"),
      ...(askClient
        ? {
            ca: await readFile(second.authority, "utf8"),
            requestCert: true,
            rejectUnauthorized: true,
          }
        : {}),
    },
  });
  return {
    host: `127.0.0.1:${server.port}`,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

describe("nothing is set up", () => {
  test("without options and folders", async () => {
    expect(await certificates({}, origin)(origin)).toBeUndefined();
    const certificateFolders = [join(folder, "none")];
    expect(await certificates({ certificateFolders }, origin)(origin)).toBeUndefined();
  });
});

describe("a client's own certificate", () => {
  test("is shown to the registry, and to nobody it leads to", async () => {
    const { cert: certFile, key: keyFile, authority: caFile } = second;
    const tls = certificates({ certFile, keyFile, caFile }, origin);
    expect(Object.keys((await tls(origin)) ?? {}).toSorted()).toEqual(["ca", "cert", "key"]);
    expect(Object.keys((await tls("https://storage.test")) ?? {})).toEqual(["ca"]);
  });

  test("lets in where it is asked for", async () => {
    await using server = await serveTls(true);
    const caFile = first.authority;
    const options = { caFile, certFile: second.cert, keyFile: second.key };
    await createRegistry(server.host, options).ping(never);
    const patience = recordedPatience();
    const wrong = { caFile, certFile: first.cert, keyFile: first.key, patience };
    expect(await failureOf(createRegistry(server.host, wrong).ping(never))).toMatchObject({
      code: "network",
    });
  });

  test("is no use with the key of another one, and neither is shown", async () => {
    const failure = await failureOf(
      certificates({ certFile: first.cert, keyFile: second.key }, origin)(origin),
    );
    expect(failure).toMatchObject({
      code: "file",
      message: `"${second.key}" is not the key of "${first.cert}"`,
    });
  });

  test("is no use with a key that is damaged", async () => {
    const keyFile = join(folder, "damaged.key");
    const text = await readFile(first.key, "utf8");
    await writeFile(keyFile, text.replaceAll(/^[A-Za-z0-9+/=]+$/gm, "AAAA"));
    const failure = await failureOf(
      certificates({ certFile: first.cert, keyFile }, origin)(origin),
    );
    expect(failure).toMatchObject({
      code: "file",
      message: `"${first.cert}" and "${keyFile}" can't be used together`,
    });
  });

  test.each([{ certFile: "x" }, { keyFile: "x" }])("is no use by half: %p", async (options) => {
    expect(await failureOf(certificates(options, origin)(origin))).toMatchObject({ code: "usage" });
  });
});

describe("Docker's folders", () => {
  test("are the machine's and the user's", () => {
    expect(dockerCertificateFolders("a:5000", { HOME: "/home/ada" })).toEqual([
      "/etc/docker/certs.d/a:5000",
      "/home/ada/.config/docker/certs.d/a:5000",
    ]);
    expect(dockerCertificateFolders("a", { HOME: "/h", XDG_CONFIG_HOME: "/x" })[1]).toBe(
      "/x/docker/certs.d/a",
    );
    expect(dockerCertificateFolders("a", {})).toHaveLength(1);
  });

  test("are looked into, all authorities taken and the pair of certificate and key", async () => {
    await using server = await serveTls(true);
    const certs = join(folder, "config", "docker", "certs.d", server.host);
    await mkdir(certs, { recursive: true });
    for (const [name, path] of [
      ["a.crt", second.authority],
      ["b.crt", first.authority],
      ["client.cert", second.cert],
      ["client.key", second.key],
    ] as const) {
      await writeFile(join(certs, name), await readFile(path));
    }
    const env = { XDG_CONFIG_HOME: join(folder, "config") };
    // On this machine too, where http is spoken otherwise.
    await createRegistry(server.host, { env }).ping(never);
  });

  test("with a certificate without its key say so", async () => {
    const certs = join(folder, "half");
    await mkdir(certs);
    await writeFile(join(certs, "client.cert"), await readFile(first.cert));
    const failure = await failureOf(certificates({ certificateFolders: [certs] }, origin)(origin));
    expect(failure).toMatchObject({ code: "file", hint: 'put the key there as "client.key"' });
  });
});

describe("a file", () => {
  test("that is not there is named", async () => {
    const caFile = join(folder, "missing.pem");
    const failure = await failureOf(certificates({ caFile }, origin)(origin));
    expect(failure).toMatchObject({ code: "file", message: `"${caFile}" can't be read` });
  });

  test("that holds something else is named, its content is not", async () => {
    const failure = await failureOf(certificates({ caFile: first.key }, origin)(origin));
    expect(failure).toMatchObject({
      code: "file",
      message: `"${first.key}" holds no certificate in PEM form`,
    });
  });
});

test("that certificates are not checked is said", async () => {
  await using server = await serveTls(false);
  const warnings: string[] = [];
  const registry = createRegistry(server.host, {
    insecure: true,
    emit: (event) => {
      if (event.type === "warning") warnings.push(event.message);
    },
  });
  await registry.ping(never);
  await registry.ping(never);
  expect(warnings).toEqual([`${server.host}: certificates are not checked`]);
});
