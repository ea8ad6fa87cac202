import { expect } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AwsClient } from "aws4fetch";
import { findPart } from "../../scripts/parts.ts";
import { startEmbeddedRegistry } from "../../scripts/registries.ts";
import { startService } from "../../scripts/service.ts";
import { freePort } from "../support/free-port.ts";
import { testWith } from "../support/programs/test-with.ts";
import { workbench } from "../support/programs/workbench.ts";

/** Weights in a bucket of versitygw, which checks signatures. Its buckets are directories. */
const { makeDirectory, ocibundle, run, shared } = workbench();
const registry = shared((at: string) => startEmbeddedRegistry(at));

const keys = { accessKeyId: "AKIDTEST", secretAccessKey: "verysecretkey" };
const deno = [
  join(import.meta.dir, "../../node_modules/deno/deno"),
  "run",
  "--allow-all",
  "--no-lock",
  "--node-modules-dir=manual",
  join(import.meta.dir, "../../src/main.ts"),
];

const gateway = shared(async (at) => {
  const root = join(at, "buckets");
  await mkdir(join(root, "models"), { recursive: true });
  for (let tries = 1; ; tries += 1) {
    const listen = `127.0.0.1:${await freePort()}`;
    const login = ["-a", keys.accessKeyId, "-s", keys.secretAccessKey];
    const command = [findPart("versitygw") ?? "", "-p", listen, ...login, "posix", root];
    try {
      // Between a free port and its use somebody else may take it.
      const service = await startService({
        command: command as [string, ...string[]],
        ready: /http:\/\/127\.0\.0\.1:(\d+)/,
      });
      return { ...service, root, endpoint: `http://${listen}` };
    } catch (error) {
      if (tries === 3) throw error;
    }
  }
});

const envOf = (endpoint: string, secret = keys.secretAccessKey) => ({
  AWS_ENDPOINT_URL: endpoint,
  AWS_ACCESS_KEY_ID: keys.accessKeyId,
  AWS_SECRET_ACCESS_KEY: secret,
});

/** Names that are written in several ways in a URL, and signed in one. */
const oddNames = ["a b+c.bin", "100%25.bin", "it's (1)!*.bin", "ü/名.bin", "q?x=1&y#z.bin"];

testWith(["versitygw"], "weights in a bucket are pushed as those of a directory are", async () => {
  const [{ endpoint }, { address }] = await Promise.all([gateway(), registry()]);
  const cwd = await makeDirectory("odd");
  const client = new AwsClient({ ...keys, service: "s3", region: "us-east-1" });
  for (const name of [...oddNames, "large.bin"]) {
    const bytes = randomBytes(name === "large.bin" ? 9_000_000 : 2000);
    const url = `${endpoint}/models/odd/${name.split("/").map(encodeURIComponent).join("/")}`;
    const sha256 = createHash("sha256").update(bytes).digest("base64");
    const headers = name.startsWith("ü") ? { "x-amz-checksum-sha256": sha256 } : {};
    const answer = await client.fetch(url, { method: "PUT", body: bytes, headers });
    expect([name, answer.status]).toEqual([name, 200]);
    await mkdir(join(cwd, "dir", name, ".."), { recursive: true });
    await writeFile(join(cwd, "dir", name), bytes);
  }
  const env = envOf(endpoint);
  await ocibundle(["push", `${address}/s3/odd:v1`, "s3://models/odd"], { cwd, env });
  await ocibundle(["pull", `${address}/s3/odd:v1`, "-o", "out"], { cwd });
  for (const name of [...oddNames, "large.bin"]) {
    const [sent, came] = await Promise.all(
      ["dir", "out/src/weights"].map((at) => readFile(join(cwd, at, name))),
    );
    expect([name, came?.equals(sent ?? Buffer.alloc(0))]).toEqual([name, true]);
  }
  await run([...deno, "lock", "s3://models/odd", "--check"], { cwd, env });
});

testWith(["versitygw"], "a wrong secret is refused, and appears nowhere", async () => {
  const { endpoint } = await gateway();
  const cwd = await makeDirectory("wrong");
  const locked = ocibundle(["lock", "-v", "s3://models/odd"], {
    cwd,
    env: envOf(endpoint, "otherwrongkey"),
  });
  const said = await locked.then(
    () => "",
    (error: unknown) => String(error),
  );
  expect(said).toContain("SignatureDoesNotMatch");
  expect(said).not.toContain("otherwrongkey");
  expect(said).not.toContain("Signature=");
});

testWith(
  ["versitygw"],
  "files that somebody else put there have no ETag, and are locked",
  async () => {
    const { endpoint, root } = await gateway();
    const cwd = await makeDirectory("many");
    await mkdir(join(root, "models/many"));
    const names = Array.from({ length: 1001 }, (_, index) => `f${index}.bin`);
    await Promise.all(names.map((name) => writeFile(join(root, "models/many", name), name)));
    const locked = await ocibundle(["lock", "s3://models/many", "--json"], {
      cwd,
      env: envOf(endpoint),
    });
    expect((JSON.parse(locked) as { files: unknown[] }).files).toHaveLength(1001);
  },
);
