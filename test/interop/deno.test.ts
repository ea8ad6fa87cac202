import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { startService } from "../../scripts/service.ts";
import { sampleLayers, writeSampleImage } from "../../scripts/sample-image.ts";
import { workbench } from "./workbench.ts";

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
}, 60_000);
