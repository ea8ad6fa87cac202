import { afterAll, describe, expect } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { findLibrary, findPart } from "../../scripts/parts.ts";
import { startEmbeddedRegistry } from "../../scripts/registries.ts";
import { startService } from "../../scripts/service.ts";
import { program } from "../../scripts/program.ts";
import { smallModel, writeTensors } from "../support/tensors/tensor-file.ts";
import { hubReleases, type LibraryPart, testWith } from "../support/programs/test-with.ts";
import { writeFiles } from "../support/temporary-directory.ts";
import { workbench } from "../support/programs/workbench.ts";

/** Real clients of the Hugging Face Hub, with a registry behind `ocibundle serve`. */
const { makeDirectory, run, shared, ocibundle } = workbench();

const registry = shared((at) => startEmbeddedRegistry(at));
/** Some clients take no other form of token. */
const token = `hf_${"t".repeat(40)}`;
const here = import.meta.dir;
/** A test with a library, whose directory it gets. */
const testWithLibrary = (
  library: LibraryPart,
  title: string,
  body: (path: string) => Promise<void>,
): void => testWith([library], title, () => body(findLibrary(library) ?? ""));

const model = shared(async () => {
  const { address } = await registry();
  const weights = await writeFiles(await makeDirectory("weights"), {
    "config.json": '{"model_type":"tiny"}',
    "empty.txt": "",
    "onnx/model.onnx": "onnx",
    "big.bin": new Uint8Array(randomBytes(20_000_000)),
    "model.safetensors": new Uint8Array(randomBytes(1_000_000)),
  });
  const reference = `${address}/acme/tiny`;
  await ocibundle(["push", `${reference}:v1`, weights, "--no-lock"]);
  await ocibundle(["tag", `${reference}:v1`, "latest"]);
  return { reference, weights, async stop() {} };
});

/** A server for the model, with a cache of its own: it ends with the tests. */
const stops: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const stop of stops) await stop();
});

async function serving(args: readonly string[] = []): Promise<Record<string, string>> {
  const { reference } = await model();
  const cwd = await makeDirectory("serve");
  const service = await startService({
    command: [
      ...program(),
      "serve",
      "--listen",
      "127.0.0.1:0",
      ...args,
      "--map",
      `Acme/Tiny=${reference}:latest`,
      "--registry",
      reference.split("/")[0] ?? "",
    ],
    cwd,
    env: { OCIBUNDLE_SERVE_TOKEN: token, OCIBUNDLE_CACHE: join(cwd, "cache") },
    ready: /HF_ENDPOINT=(\S+)/,
  });
  stops.push(() => service.stop());
  return {
    HF_ENDPOINT: service.ready[1] ?? "",
    HF_TOKEN: token,
    HF_HUB_DISABLE_PROGRESS_BARS: "1",
    HF_HUB_DISABLE_TELEMETRY: "1",
  };
}

describe.each(hubReleases)("%s", (name) => {
  testWithLibrary(name, "downloads, lists and fails as it does with the Hub", async (path) => {
    const { weights } = await model();
    const env = { ...(await serving()), PYTHONPATH: path, PYTHONDONTWRITEBYTECODE: "1" };
    const cache = await makeDirectory("hub");
    const said = await run(["python3", join(here, "hub-clients.py"), weights, cache], { env });
    expect(said).toContain(`${name.replace("-", " ")}: 5 files`);
  });

  testWithLibrary(name, "never takes wrong bytes for a success", async (path) => {
    const { weights } = await model();
    const fault = "corrupt,at=5000,path=*/blobs/*,method=GET";
    const faulty = await startEmbeddedRegistry(await makeDirectory("faulty"), ["--fault", fault]);
    stops.push(() => faulty.stop());
    await ocibundle(["push", `${faulty.address}/acme/tiny`, weights, "--no-lock"]);
    const env = {
      ...(await serving(["--map", `acme/faulty=${faulty.address}/acme/tiny`])),
      PYTHONPATH: path,
      PYTHONDONTWRITEBYTECODE: "1",
    };
    const cache = await makeDirectory("hub");
    const code = `import sys, huggingface_hub as h; h.snapshot_download("acme/faulty", cache_dir=sys.argv[1])`;
    const failed = await run(["python3", "-c", code, cache], { env }).then(
      () => undefined,
      (error: unknown) => String(error),
    );
    expect(failed).toBeDefined();
    const snapshots = join(cache, "models--acme--faulty", "snapshots");
    const found = existsSync(snapshots) ? await readdir(snapshots, { recursive: true }) : [];
    expect(found.filter((file) => /big\.bin|model\.safetensors/.test(file))).toEqual([]);
  });
});

testWithLibrary("@huggingface+hub-2.17.5", "@huggingface/hub downloads a model", async (path) => {
  const { weights } = await model();
  const env = {
    ...(await serving()),
    LIBRARY: join(path, "node_modules/@huggingface/hub/dist/index.mjs"),
  };
  const cache = await makeDirectory("hub");
  expect(await run(["node", join(here, "hub-client.mjs"), weights, cache], { env })).toEndWith(
    "5 files\n",
  );
});

testWithLibrary(
  "huggingface_hub-2.4.0",
  "`hf download` downloads what is asked for",
  async (path) => {
    const { weights } = await model();
    const env = { ...(await serving()), PYTHONPATH: path, PYTHONDONTWRITEBYTECODE: "1" };
    const at = await makeDirectory("download");
    const hf = ["python3", "-c", "from huggingface_hub.cli.hf import main; main()"];
    const args = [
      "download",
      "Acme/Tiny",
      "--include",
      "*.json",
      "--revision",
      "v1",
      "--local-dir",
      at,
    ];
    await run([...hf, ...args], { env });
    expect((await readdir(at)).filter((file) => !file.startsWith("."))).toEqual(["config.json"]);
    expect(existsSync(join(weights, "config.json"))).toBe(true);
  },
);

testWithLibrary(
  "huggingface_hub-2.4.0",
  "`hf download` puts no file of parts anywhere but under its digest",
  async (path) => {
    const { reference } = await model();
    const weights = await makeDirectory("tensors");
    const original = join(weights, "model.safetensors");
    writeTensors(original, smallModel());
    await ocibundle(["push", reference.replace(/tiny$/, "parts"), weights, "--parts", "--no-lock"]);
    const env = { ...(await serving()), PYTHONPATH: path, PYTHONDONTWRITEBYTECODE: "1" };
    const cache = await makeDirectory("hub");
    const hf = ["python3", "-c", "from huggingface_hub.cli.hf import main; main()"];
    await run([...hf, "download", "acme/parts", "--cache-dir", cache], { env });
    const blobs = join(cache, "models--acme--parts", "blobs");
    const [blob = "", ...others] = (await readdir(blobs)).filter((name) =>
      /^[0-9a-f]+$/.test(name),
    );
    expect(others).toEqual([]);
    const bytes = await readFile(join(blobs, blob));
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(blob);
    expect(bytes.equals(await readFile(original))).toBe(true);
  },
);

testWithLibrary(
  "node-llama-cpp-3.21.1",
  "llama.cpp generates the same tokens from a registry's model as from the file",
  async (path) => {
    const { reference } = await model();
    const weights = await makeDirectory("gguf");
    const file = join(weights, "tiny-F32.gguf");
    await run(["node", join(here, "tiny-gguf.mjs"), file]);
    await ocibundle(["push", reference.replace(/tiny$/, "gguf"), weights, "--no-lock"]);
    const library = join(path, "node_modules/node-llama-cpp/dist/index.js");
    const env = { ...(await serving()), LIBRARY: library };
    const args = [join(here, "hub-llama.mjs"), file, await makeDirectory("models")];
    expect(await run(["node", ...args], { env })).toContain("the same tokens: ");
  },
);

testWith(["hf-hub-reader"], "hf-hub downloads a model", async () => {
  const { weights } = await model();
  const cache = await makeDirectory("hub");
  const files = ["config.json", "onnx/model.onnx", "big.bin", "model.safetensors"];
  const reader = findPart("hf-hub-reader") ?? "";
  const said = await run([reader, cache, "acme/tiny", "v1", ...files], { env: await serving() });
  const [count, ...paths] = said.trim().split("\n");
  expect(count).toBe("5 files");
  expect(paths).toHaveLength(files.length);
  for (const [at, path] of paths.entries()) {
    const original = await readFile(join(weights, files[at] ?? ""));
    expect((await readFile(path)).equals(original)).toBe(true);
  }
});

describe.each([
  { library: "model2vec-0.10.0", said: "the same vector of 16 numbers" },
  { library: "transformers-5.24.0", said: "the same 6 tokens" },
] as const)("$library", ({ library, said }) => {
  testWithLibrary(
    library,
    "computes the same with a registry's model as with the files",
    async (path) => {
      const { reference } = await model();
      const env = { ...(await serving()), PYTHONPATH: path, PYTHONDONTWRITEBYTECODE: "1" };
      const weights = await makeDirectory("weights");
      const script = ["python3", join(here, "hub-inference.py")];
      await run([...script, "make", weights], { env });
      const name = library.split("-", 1)[0] ?? "";
      await ocibundle(["push", reference.replace(/tiny$/, name), weights, "--no-lock"]);
      const more = { ...env, HF_HOME: await makeDirectory("home") };
      expect(await run([...script, name, weights, `acme/${name}`], { env: more })).toContain(said);
    },
  );
});
