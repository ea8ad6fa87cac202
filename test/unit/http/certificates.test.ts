import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type CertificateOptions,
  certificates,
  certificateDirectoriesOf,
} from "../../../src/http/certificates.ts";
import { systemAuthorities } from "../../../src/http/system-certificates.ts";
import { createRegistry } from "../../../src/registry/registry.ts";
import { makeCertificate, type TestCertificate } from "../../support/certificates.ts";
import { never, recordedClock } from "../../support/registry/scripted-server.ts";
import { errorOf } from "../../support/failure.ts";

const origin = "https://registry.test";
let told: string[] = [];
/** What is trusted at a URL, without the system's own authorities. */
const trusted = async (options: CertificateOptions, url = origin, carriesLogin = false) => {
  told = [];
  const env = { SSL_CERT_FILE: join(directory, "none"), SSL_CERT_DIR: join(directory, "none") };
  const warn = (message: string): void => void told.push(message);
  const tls = await certificates(options, new URL(origin), { env, warn })(
    new URL(url),
    carriesLogin,
  );
  told = told.filter((message) => !message.startsWith("SSL_CERT_FILE"));
  return tls;
};
let directory = "";
let first: TestCertificate & { authority: string };
let second: TestCertificate & { authority: string };

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "ocibundle-certificates-"));
  const make = async (name: string) => {
    await mkdir(join(directory, name));
    return makeCertificate(join(directory, name));
  };
  [first, second] = await Promise.all([make("first"), make("second")]);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

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
  test("without options and directories", async () => {
    expect(await trusted({})).toEqual({});
    const certificateDirectories = [join(directory, "none")];
    expect(await trusted({ certificateDirectories })).toEqual({});
  });
});

describe("a client's own certificate", () => {
  test("is shown to the registry, and to nobody it leads to", async () => {
    const { cert: certFile, key: keyFile, authority: caFile } = second;
    const options = { certFile, keyFile, caFile };
    expect(Object.keys(await trusted(options)).toSorted()).toEqual(["ca", "cert", "key"]);
    expect(Object.keys(await trusted(options, "https://storage.test"))).toEqual(["ca"]);
  });

  test("lets in where it is asked for", async () => {
    await using server = await serveTls(true);
    const caFile = first.authority;
    const options = { caFile, certFile: second.cert, keyFile: second.key };
    await createRegistry(server.host, options).ping(never);
    const clock = recordedClock();
    const wrong = { caFile, certFile: first.cert, keyFile: first.key, clock };
    expect(await errorOf(createRegistry(server.host, wrong).ping(never))).toMatchObject({
      code: "network",
    });
  });

  test("is no use with the key of another one, and neither is shown", async () => {
    const failure = await errorOf(trusted({ certFile: first.cert, keyFile: second.key }));
    expect(failure).toMatchObject({
      code: "file",
      message: `"${second.key}" is not the key of "${first.cert}"`,
    });
  });

  test("is no use with a key that is damaged", async () => {
    const keyFile = join(directory, "damaged.key");
    const text = await readFile(first.key, "utf8");
    await writeFile(keyFile, text.replaceAll(/^[A-Za-z0-9+/=]+$/gm, "AAAA"));
    const failure = await errorOf(trusted({ certFile: first.cert, keyFile }));
    expect(failure).toMatchObject({
      code: "file",
      message: `"${first.cert}" and "${keyFile}" cannot be used together`,
    });
  });

  test.each([{ certFile: "x" }, { keyFile: "x" }])("is no use by half: %p", async (options) => {
    expect(await errorOf(trusted(options))).toMatchObject({ code: "usage" });
  });
});

describe("Docker's directories", () => {
  test("are the machine's and the user's", () => {
    expect(certificateDirectoriesOf("a:5000", { HOME: "/home/ada" })).toEqual([
      "/etc/docker/certs.d/a:5000",
      "/home/ada/.config/docker/certs.d/a:5000",
      "/home/ada/.config/containers/certs.d/a:5000",
      "/etc/containers/certs.d/a:5000",
    ]);
    expect(certificateDirectoriesOf("a", { HOME: "/h", XDG_CONFIG_HOME: "/x" })[1]).toBe(
      "/x/docker/certs.d/a",
    );
    expect(certificateDirectoriesOf("a", {})).toHaveLength(2);
  });

  test("are looked into, all authorities taken and the pair of certificate and key", async () => {
    await using server = await serveTls(true);
    const certs = join(directory, "config", "docker", "certs.d", server.host);
    await mkdir(certs, { recursive: true });
    for (const [name, path] of [
      ["a.crt", second.authority],
      ["b.crt", first.authority],
      ["client.cert", second.cert],
      ["client.key", second.key],
    ] as const) {
      await writeFile(join(certs, name), await readFile(path));
    }
    const env = { XDG_CONFIG_HOME: join(directory, "config") };
    // On this machine too, where http is spoken otherwise.
    await createRegistry(server.host, { env }).ping(never);
  });

  test("with a certificate without its key say so", async () => {
    const certs = join(directory, "half");
    await mkdir(certs);
    await writeFile(join(certs, "client.cert"), await readFile(first.cert));
    expect(await trusted({ certificateDirectories: [certs] })).toEqual({});
    expect(told).toEqual([
      `"${join(certs, "client.cert")}" has no matching key "client.key"; continuing without it`,
    ]);
  });

  test("with several pairs give the first that can be used", async () => {
    const certs = join(directory, "several");
    await mkdir(certs);
    for (const [name, path] of [
      ["a.cert", first.cert],
      ["b.cert", first.cert],
      ["b.key", second.key],
      ["c.cert", second.cert],
      ["c.key", second.key],
    ] as const) {
      await writeFile(join(certs, name), await readFile(path));
    }
    const { cert } = await trusted({ certificateDirectories: [certs] });
    expect(cert).toBe(await readFile(second.cert, "utf8"));
    expect(told).toEqual([
      `"${join(certs, "a.cert")}" has no matching key "a.key"; continuing without it`,
      `"${join(certs, "b.key")}" is not the key of "${join(certs, "b.cert")}"; continuing without it`,
    ]);
  });

  test("that cannot be read, or whose files can't, are told and passed over", async () => {
    const certs = join(directory, "odd");
    await mkdir(join(certs, "d.crt"), { recursive: true });
    await writeFile(join(certs, "a.crt"), await readFile(first.authority));
    await writeFile(join(certs, "b.crt"), "no certificate");
    await writeFile(join(certs, "c.cert"), await readFile(first.cert));
    await writeFile(join(certs, "c.key"), await readFile(second.key));
    const tls = await trusted({ certificateDirectories: [join(first.cert, "x"), certs] });
    expect(tls.ca).toHaveLength(1);
    expect(tls.cert).toBeUndefined();
    const reasons = told.map((message) => message.split(";")[0]).toSorted();
    expect(reasons).toEqual([
      `"${join(certs, "b.crt")}" contains no certificate in PEM format`,
      `"${join(certs, "c.key")}" is not the key of "${join(certs, "c.cert")}"`,
      `"${join(certs, "d.crt")}" is a directory`,
    ]);
    const file = join(directory, "a-file");
    await writeFile(file, "");
    expect(await trusted({ certificateDirectories: [join(file, "x")] })).toEqual({});
  });
});

describe("a file", () => {
  test("that is not there is named", async () => {
    const caFile = join(directory, "missing.pem");
    const failure = await errorOf(trusted({ caFile }));
    expect(failure).toMatchObject({ code: "file", message: `"${caFile}" does not exist` });
  });

  test("that holds something else is named, its content is not", async () => {
    const failure = await errorOf(trusted({ caFile: first.key }));
    expect(failure).toMatchObject({
      code: "file",
      message: `"${first.key}" contains no certificate in PEM format`,
    });
  });
});

describe("authorities", () => {
  test("that cannot be read are told and left out, as long as there are others", async () => {
    const caFile = join(directory, "bundle.pem");
    const text = await readFile(first.authority, "utf8");
    const broken = text.replaceAll(/^[A-Za-z0-9+/=]+$/gm, "AAAA");
    await writeFile(caFile, `# one\n${broken}${text}\n${await readFile(second.authority, "utf8")}`);
    expect((await trusted({ caFile })).ca).toHaveLength(2);
    expect(told).toEqual([`"${caFile}": a certificate cannot be read; continuing without it`]);
    await writeFile(caFile, broken);
    expect(await errorOf(trusted({ caFile }))).toMatchObject({ code: "file" });
  });

  test("are found where SSL_CERT_FILE and SSL_CERT_DIR say, and those of --ca-file beside them", async () => {
    const dir = join(directory, "system");
    await mkdir(dir);
    const text = await readFile(second.authority, "utf8");
    await writeFile(join(dir, "second.pem"), text);
    await symlink("second.pem", join(dir, "0123abcd.0"));
    await writeFile(join(dir, "README"), "no certificate");
    await writeFile(join(dir, "broken.pem"), text.replaceAll(/^[A-Za-z0-9+/=]+$/gm, "AAAA"));
    const env = {
      SSL_CERT_FILE: first.authority,
      SSL_CERT_DIR: `${join(directory, "none")}:${dir}`,
    };
    const warnings: string[] = [];
    const warn = (message: string): void => void warnings.push(message);
    const found = systemAuthorities(env, warn);
    expect(found).toHaveLength(2);
    expect(warnings).toEqual([
      `"${join(dir, "broken.pem")}": a certificate cannot be read; continuing without it`,
    ]);
    await using server = await serveTls(false);
    await createRegistry(server.host, { env, https: true }).ping(never);
    await createRegistry(server.host, { env, caFile: second.authority }).ping(never);
    const without = { SSL_CERT_FILE: second.authority, SSL_CERT_DIR: dir };
    expect(
      await errorOf(createRegistry(server.host, { env: without, https: true }).ping(never)),
    ).toMatchObject({ code: "network" });
  });
});

test("no certificate goes unchecked where a login goes to another host", async () => {
  const insecure = { insecure: true };
  expect(await trusted(insecure)).toEqual(insecure);
  expect(await trusted(insecure, origin, true)).toEqual(insecure);
  expect(await trusted(insecure, "https://registry.test:5001", true)).toEqual(insecure);
  expect(await trusted(insecure, "https://storage.test")).toEqual(insecure);
  expect(await trusted(insecure, "https://auth.test", true)).toEqual({});
});

test("that TLS certificates are not verified is said", async () => {
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
  expect(warnings).toEqual([`${server.host}: TLS certificates are not verified`]);
});
