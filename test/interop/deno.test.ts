import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startService } from "../../scripts/service.ts";
import { sampleLayers, writeSampleImage } from "../../scripts/sample-image.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { testIdentity, testIssuer, testSigstore } from "../support/sigstore.ts";
import { workbench } from "../support/programs/workbench.ts";

/** The sources run under Deno as they are: the whole round, client and registry. */
const { makeDirectory, run, shared } = workbench();

const root = join(import.meta.dir, "../..");
const deno = [
  // Not the wrapper in .bin: what it starts outlives it.
  join(root, "node_modules/deno/deno"),
  "run",
  "--allow-all",
  "--no-lock",
  "--node-modules-dir=manual",
  join(root, "src/main.ts"),
] as const;

const registry = shared(async (storage) => {
  const service = await startService({
    command: [...deno, "registry-start", "--foreground", "--storage", storage],
    cwd: storage,
    ready: /TEST_REGISTRY=(127\.0\.0\.1:\d+)/,
  });
  return { ...service, address: service.ready[1] };
});

test("ocibundle under Deno takes a model all the way there and back", async () => {
  const cwd = await makeDirectory("deno");
  const ocibundle = (...args: string[]) => run([...deno, ...args], { cwd });
  const { address } = await registry();
  const reference = `${address}/deno/model:v1`;
  await writeSampleImage(join(cwd, "image"), "v1", sampleLayers("print(1)\n"));

  await ocibundle("mock-weights", "-n", "2", "--min-size", "1mb", "--max-size", "9mb");
  await ocibundle("lock", "--check", "weights", "--dest", "/cache");
  await ocibundle("push", reference, "--image", "oci:image:v1", "--weights", "weights");
  const model = JSON.parse(await ocibundle("inspect", reference, "--json")) as {
    weights: { files: unknown[] };
  };
  expect(model.weights.files).toHaveLength(2);

  await ocibundle("pull", reference, "-o", "pulled", "--no-cache");
  for (const name of ["weights-001.bin", "weights-002.bin"]) {
    const [sent, back] = await Promise.all([
      readFile(join(cwd, "weights", name)),
      readFile(join(cwd, "pulled/cache", name)),
    ]);
    expect(back.equals(sent)).toBe(true);
  }

  // A signature with a certificate, by which the files are verified.
  const sigstore = await testSigstore();
  const names = ["weights-001.bin", "weights-002.bin"];
  const statement = await signedFiles(join(cwd, "weights"), names);
  const bundle = await sigstore.bundle({ digest: digestOf(""), statement });
  await writeFile(join(cwd, "model.sig"), bundle);
  await writeFile(join(cwd, "trusted_root.json"), sigstore.trustedRoot);
  const identity = [
    "--certificate-identity",
    testIdentity,
    "--certificate-oidc-issuer",
    testIssuer,
  ];
  const by = ["--model-signature", "model.sig", "--trusted-root", "trusted_root.json", ...identity];
  expect(await ocibundle("verify", "pulled/cache", ...by)).toStartWith("OK: 2 files verified");
}, 60_000);

/** What a model signature signs: the digests of files, and one of all of them. */
async function signedFiles(directory: string, names: readonly string[]): Promise<Uint8Array> {
  const all = createHash("sha256");
  const resources: object[] = [];
  for (const name of names) {
    const digest = createHash("sha256")
      .update(await readFile(join(directory, name)))
      .digest();
    all.update(digest);
    resources.push({ name, algorithm: "sha256", digest: digest.toString("hex") });
  }
  return Buffer.from(
    JSON.stringify({
      _type: "https://in-toto.io/Statement/v1",
      subject: [{ name: "model", digest: { sha256: all.digest("hex") } }],
      predicateType: "https://model_signing/signature/v1.0",
      predicate: { serialization: { method: "files", hash_type: "sha256" }, resources },
    }),
  );
}
