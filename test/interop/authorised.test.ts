import { describe, expect, test } from "bun:test";
import { createPrivateKey, sign, X509Certificate } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { program } from "../../scripts/program.ts";
import { startDockerRegistry, type TestRegistry } from "../../scripts/registries.ts";
import { findCredential } from "../../src/credentials/find.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { createRegistry, type RegistryOptions } from "../../src/registry/registry.ts";
import type { Repository } from "../../src/registry/types.ts";
import { never } from "../support/registry/scripted-server.ts";
import { errorOf } from "../support/failure.ts";
import { makeCertificate } from "../support/certificates.ts";
import { testWith } from "../support/programs/test-with.ts";
import { workbench } from "../support/programs/workbench.ts";

const bench = workbench();

const withPassword = bench.shared(async (directory) => {
  const path = join(directory, "htpasswd");
  await writeFile(
    path,
    `ada:${await Bun.password.hash("s3cret", { algorithm: "bcrypt", cost: 4 })}\n`,
  );
  return startDockerRegistry(directory, { auth: { htpasswd: { realm: "test", path } } });
});

const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString("base64url");

interface TokenRegistry extends TestRegistry {
  /** Queries of the token requests. */
  asked: URLSearchParams[];
}

/** docker-registry with a token server beside it that signs for whoever has Ada's password. */
const withTokens = bench.shared(async (directory): Promise<TokenRegistry> => {
  const certificate = await makeCertificate(directory);
  const key = createPrivateKey(await readFile(certificate.key));
  const x5c = [new X509Certificate(await readFile(certificate.cert)).raw.toString("base64")];
  const asked: URLSearchParams[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const query = new URL(request.url).searchParams;
      asked.push(query);
      const known = request.headers.get("authorization") === `Basic ${btoa("ada:s3cret")}`;
      if (!known) return new Response("", { status: 401 });
      const access = query.getAll("scope").map((scope) => {
        const [type, name, actions] = scope.split(":");
        return { type, name, actions: actions?.split(",") };
      });
      const now = Math.floor(Date.now() / 1000);
      const claims = {
        iss: "test",
        sub: "ada",
        aud: "registry",
        nbf: now - 5,
        exp: now + 300,
        access,
      };
      const text = `${encode({ typ: "JWT", alg: "RS256", x5c })}.${encode(claims)}`;
      const signature = sign("RSA-SHA256", Buffer.from(text), key).toString("base64url");
      return Response.json({ token: `${text}.${signature}`, expires_in: 300 });
    },
  });
  const registry = await startDockerRegistry(directory, {
    auth: {
      token: {
        realm: `http://127.0.0.1:${server.port}/token`,
        service: "registry",
        issuer: "test",
        rootcertbundle: certificate.authority,
      },
    },
  });
  return {
    ...registry,
    asked,
    async stop() {
      await registry.stop();
      await server.stop(true);
    },
  };
});

/** Pushes a blob and a manifest, mounts the blob elsewhere, and reads everything back. */
async function goRound(repository: Repository, other: Repository): Promise<void> {
  const bytes = new TextEncoder().encode("{}");
  const digest = digestOf(bytes);
  const started = await repository.startUpload({}, never);
  if (started.mounted) throw new Error("mounted without being asked");
  const body = { size: bytes.byteLength, make: () => Promise.resolve(new Blob([bytes])) };
  await started.session.patchChunk(0, body, never);
  await started.session.finish(digest, undefined, never);
  expect(await repository.headBlob(digest, never)).toBe(2);
  const config = { mediaType: mediaTypes.ociEmpty, digest, size: 2 };
  const manifest = new TextEncoder().encode(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config,
      layers: [config],
    }),
  );
  const raw = { mediaType: mediaTypes.ociManifest, digest: digestOf(manifest), bytes: manifest };
  await repository.putManifest("v1", raw, never);
  expect(await repository.getManifest("v1", never)).toEqual(raw);
  const mount = { digest, from: repository.name };
  expect(await other.startUpload({ mount }, never)).toEqual({ mounted: true });
  const answer = await other.getBlob(config, { start: 1, end: 2 }, never);
  expect(await new Response(answer.body).text()).toBe("}");
}

const withAda: RegistryOptions = {
  credentials: () => Promise.resolve({ kind: "password", username: "ada", password: "s3cret" }),
};

describe("docker-registry with a password", () => {
  testWith(["docker-registry"], "takes a whole round", async () => {
    const { address } = await withPassword();
    const registry = createRegistry(address, withAda);
    await goRound(registry.repository("acme/llama"), registry.repository("acme/other"));
  });

  testWith(["docker-registry"], "refuses who has none, in words", async () => {
    const { address } = await withPassword();
    const failure = await errorOf(
      createRegistry(address).repository("a/b").getManifest("v1", never),
    );
    expect(failure).toMatchObject({
      code: "denied",
      hint: `log in with \`ocibundle login ${address}\``,
    });
    expect(failure.message).toStartWith(
      `${address}/a/b: access denied to manifest "v1": UNAUTHORIZED`,
    );
  });

  testWith(["docker-registry"], "is logged in to, used, and logged out of", async () => {
    const { address } = await withPassword();
    const HOME = await bench.makeDirectory("home");
    const said = await bench.run(
      [
        "sh",
        "-c",
        `echo s3cret | "$@"`,
        "sh",
        ...program(),
        "login",
        address,
        "-u",
        "ada",
        "--password-stdin",
      ],
      { env: { HOME } },
    );
    expect(said).toContain(`logged in to ${address} as ada`);
    const registry = createRegistry(address, {
      credentials: (host, repository) => findCredential(host, repository, { HOME }),
    });
    await goRound(registry.repository("acme/llama"), registry.repository("acme/other"));
    expect(await bench.ocibundle(["logout", address], { env: { HOME } })).toBe(
      `logged out of ${address}\n`,
    );
    expect(await findCredential(address, undefined, { HOME })).toBeUndefined();
  });

  testWith(["docker-registry"], "with a wrong password is not logged in to", async () => {
    const { address } = await withPassword();
    const HOME = await bench.makeDirectory("home");
    const command = [...program(), "login", address, "-u", "ada", "--password-stdin"];
    const failure = await errorOf(
      bench.run(["sh", "-c", `echo "wr"0ng | "$@"`, "sh", ...command], { env: { HOME } }),
    );
    expect(failure.message).toContain(`${address}: invalid username or password`);
    expect(failure.message).not.toContain("wr0ng");
    expect(await findCredential(address, undefined, { HOME })).toBeUndefined();
  });

  testWith(
    ["docker-registry"],
    "asks at the terminal, and does not show the password",
    async () => {
      const { address } = await withPassword();
      const HOME = await bench.makeDirectory("home");
      const { code, shown } = await typeIn(["login", address], { HOME }, [
        ["Username: ", "adx\u007fa\r"],
        // ^U takes back all that was typed.
        ["Password: ", "wr0ng\u0015s3cret\r"],
      ]);
      expect(code).toBe(0);
      expect(shown).toContain(`logged in to ${address} as ada`);
      expect(shown).not.toContain("s3cret");
      expect(await findCredential(address, undefined, { HOME })).toEqual({
        kind: "password",
        username: "ada",
        password: "s3cret",
      });
    },
  );
});

/** Runs ocibundle at a terminal of its own where somebody answers what it asks. */
async function typeIn(
  args: readonly string[],
  env: Record<string, string>,
  answers: readonly (readonly [question: string, answer: string])[],
): Promise<{ code: number; shown: string }> {
  let shown = "";
  const child = Bun.spawn([...program(), ...args], {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    terminal: {
      data(terminal, bytes) {
        const before = shown;
        shown += new TextDecoder().decode(bytes);
        for (const [question, answer] of answers) {
          if (shown.includes(question) && !before.includes(question)) terminal.write(answer);
        }
      },
    },
  });
  return { code: await child.exited, shown };
}

describe("login at a terminal", () => {
  const nowhere = ["login", "localhost:1"];

  test.each([
    ["^D for the name", [["Username: ", "\u0004"]], 2, "no input was given"],
    [
      "^D for the password",
      [
        ["Username: ", "ada\r"],
        ["Password: ", "\u0004"],
      ],
      2,
      "use --username, and pass the password",
    ],
    [
      "^C in the password",
      [
        ["Username: ", "ada\r"],
        ["Password: ", "s3c\u0003"],
      ],
      130,
      "interrupted",
    ],
  ] as const)("ends with %s", async (_, answers, code, says) => {
    const ended = await typeIn(nowhere, { HOME: await bench.makeDirectory("home") }, answers);
    expect(ended.code).toBe(code);
    expect(ended.shown).toContain(says);
    expect(ended.shown).not.toContain("s3c");
  });
});

describe("docker-registry with a token server", () => {
  testWith(["docker-registry"], "takes a whole round with one token a scope", async () => {
    const { address, asked } = await withTokens();
    asked.length = 0;
    const registry = createRegistry(address, withAda);
    await goRound(registry.repository("acme/llama"), registry.repository("acme/other"));
    expect(asked.map((query) => query.getAll("scope"))).toEqual([
      ["repository:acme/llama:pull,push"],
      ["repository:acme/llama:pull", "repository:acme/other:pull,push"],
    ]);
  });

  testWith(["docker-registry"], "is closed to who has no password", async () => {
    const { address } = await withTokens();
    const failure = await errorOf(createRegistry(address).ping(never));
    expect(failure).toMatchObject({ code: "denied" });
    expect(failure.message).toContain("requires a login");
  });
});

describe("docker-registry with TLS", () => {
  const withTls = bench.shared(async (directory) => {
    const certificate = await makeCertificate(directory);
    const tls = { certificate: certificate.cert, key: certificate.key };
    return { ...(await startDockerRegistry(directory, { tls })), ...certificate };
  });

  testWith(["docker-registry"], "is trusted by its authority's certificate", async () => {
    const { address, authority } = await withTls();
    const registry = createRegistry(address, { caFile: authority });
    await goRound(registry.repository("acme/llama"), registry.repository("acme/other"));
  });

  testWith(["docker-registry"], "is used unchecked when told to", async () => {
    const { address } = await withTls();
    await createRegistry(address, { insecure: true }).ping(never);
  });

  testWith(["docker-registry"], "is refused with a certificate nobody here knows", async () => {
    const { address, cert } = await withTls();
    const wrong = join(await bench.makeDirectory("wrong"), "certs");
    await mkdir(wrong);
    const { authority } = await makeCertificate(wrong);
    const failure = await errorOf(createRegistry(address, { caFile: authority }).ping(never));
    expect(failure).toMatchObject({ code: "network" });
    expect(failure.message).toContain(
      "certificate is signed by an authority that this machine does not trust",
    );
    expect((failure as { hint?: string }).hint).toContain("--ca-file");
    expect(failure.message).not.toContain(cert);
  });
});
