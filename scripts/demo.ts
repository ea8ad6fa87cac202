// `npm run demo`: the main job from start to end, on this machine alone. Every step is a command of
// ocibundle, printed before its output; the registry is ocibundle's own, gone when the demo ends.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { program } from "./program.ts";
import { sampleLayers, writeSampleImage } from "./sample-image.ts";

const directory = await mkdtemp(join(tmpdir(), "ocibundle-demo-"));
// Nothing of this machine's own settings is used, and nothing is left in its cache.
const env: Record<string, string | undefined> = {
  PATH: process.env["PATH"],
  NO_COLOR: process.env["NO_COLOR"],
  TERM: process.env["TERM"],
  HOME: directory,
  XDG_CACHE_HOME: join(directory, ".cache"),
};

try {
  say("Two versions of the image of a model, as OCI layouts. Only the code differs.");
  await writeSampleImage(join(directory, "image-v1"), "v1", sampleLayers("print('first')\n"));
  await writeSampleImage(join(directory, "image-v2"), "v2", sampleLayers("print('second')\n"));

  say("Three random weight files, and a lock that pins each to its digest.");
  await show("mock-weights --count 3 --min-size 8mb --max-size 24mb --seed 1");
  await show("lock weights --dest /src/weights");

  say("Build the model in a local OCI layout: one index of image and weights.");
  await show("build --image oci:image-v1:v1 --weights weights -o oci:model");

  say("Start a registry and push the model.");
  const started = await show("registry-start");
  const address = /export TEST_REGISTRY=(\S+)/.exec(started)?.[1];
  if (address === undefined) throw new Error("registry-start named no address");
  env["TEST_REGISTRY"] = address;
  await show(`push ${address}/acme/model:v1 --image oci:image-v1:v1 --weights weights`);
  await show(`inspect ${address}/acme/model:v1`);

  say("Push again: everything is there already.");
  await show(`push ${address}/acme/model:v1 --image oci:image-v1:v1 --weights weights`);

  say("Push new code with the same weights: only a few hundred bytes are sent.");
  await show(`push ${address}/acme/model:v2 --image oci:image-v2:v2 --weights weights`);

  say("Pull the weights. A file has its final name only after its digest was verified.");
  await show(`pull ${address}/acme/model:v1 -o node/v1`);

  say("Pull the next version: the node has its weights already.");
  await show(`diff ${address}/acme/model:v1 ${address}/acme/model:v2`);
  await show(`pull ${address}/acme/model:v2 -o node/v2`);

  say("Verify every file against its digest.");
  await show(`verify ${address}/acme/model:v2 --dir node/v2`);
} finally {
  if (env["TEST_REGISTRY"] !== undefined) await show("registry-stop");
  await rm(directory, { recursive: true, force: true });
}

function say(text: string): void {
  console.log(`\n# ${text}`);
}

/** Runs one command, its line first, and resolves to its standard output. */
async function show(line: string): Promise<string> {
  console.log(`$ ocibundle ${line}`);
  const child = Bun.spawn([...program(), ...line.split(" ")], {
    cwd: directory,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  let output = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    process.stdout.write(chunk);
    output += decoder.decode(chunk, { stream: true });
  }
  const exitCode = await child.exited;
  if (exitCode !== 0) throw new Error(`"ocibundle ${line}" ended with exit code ${exitCode}`);
  return output;
}
