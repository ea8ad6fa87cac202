// What versions of a model in parts send and store, counted: the binary against its own registry.
//
//   bun scripts/parts-scenarios.ts [--full] [--runs N]
//
// Without --full, with a model of 67 MiB; with it, of a gigabyte, and with times against a plain push and pull.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { modelL, type Sized } from "../test/support/model-shapes.ts";
import { smallModel, writeTensors } from "../test/support/tensor-file.ts";
import { program } from "./program.ts";

const { values } = parseArgs({
  options: { full: { type: "boolean", default: false }, runs: { type: "string", default: "3" } },
});
const model = values.full ? modelL() : smallModel();
const directory = await mkdtemp(join(tmpdir(), "ocibundle-parts-"));
const storage = join(directory, "storage");
await mkdir(storage);
const cache = { at: join(directory, "cache") };

async function run(...args: string[]): Promise<string> {
  const env = { ...process.env, XDG_CACHE_HOME: cache.at, OCIBUNDLE_PROGRESS: "none" };
  const child = Bun.spawn([...program(), ...args], { cwd: directory, env, stderr: "pipe" });
  const output = [child.stdout, child.stderr].map((stream) => new Response(stream).text());
  const [stdout = "", stderr = ""] = await Promise.all(output);
  if ((await child.exited) !== 0) throw new Error(`${args.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

/** The bytes of all files in the registry's storage. */
async function stored(): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(storage, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}

const sha256 = async (path: string): Promise<string> => {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
};

let failures = 0;
const percent = (share: number): string => `${(share * 100).toFixed(4)} %`;
function expectAtMost(what: string, found: number, most: number): void {
  const isRight = found <= most;
  if (!isRight) failures += 1;
  console.log(`${isRight ? "ok  " : "FAIL"} ${what}: ${percent(found)} (at most ${percent(most)})`);
}

interface Pushed {
  sent: { bytes: number };
}

/** Locks and pushes what is in `weights`; answers what was sent and what the storage grew by. */
async function push(
  tag: string,
  lockFlags: readonly string[] = [],
): Promise<{ sent: number; grown: number }> {
  const before = await stored();
  await run("lock", "weights", "--parts", ...lockFlags);
  const pushed = await run(
    "push",
    `${host}/acme/l:${tag}`,
    "--parts",
    "--weights",
    "weights",
    "--json",
  );
  return { sent: (JSON.parse(pushed) as Pushed).sent.bytes, grown: (await stored()) - before };
}

/** Pulls over what earlier pulls left in the cache; the file must be what was pushed. */
async function pull(tag: string): Promise<number> {
  const out = join(directory, `out-${tag}`);
  const text = await run("pull", `${host}/acme/l:${tag}`, out, "--json");
  const { files } = JSON.parse(text) as {
    files: { path: string; size: number }[];
    reused?: number;
  };
  const { reused = 0 } = JSON.parse(text) as { reused?: number };
  for (const { path } of files) {
    const name = path.split("/").at(-1) ?? "";
    const same = (await sha256(path)) === (await sha256(join(directory, "weights", name)));
    if (!same) throw new Error(`${path} is not what was pushed`);
  }
  await rm(out, { recursive: true });
  return files.reduce((sum, { size }) => sum + size, 0) - reused;
}

const file = join(directory, "weights/model.safetensors");
const total = model.reduce((sum, [, bytes]) => sum + bytes, 0);

/** Pseudo-random numbers below 1, from a seed. */
function random(seed: number): () => number {
  let state = seed + 0x9e3779b9;
  return () => {
    state = Math.imul(state ^ (state >>> 15), state | 1);
    state ^= state + Math.imul(state ^ (state >>> 7), state | 61);
    return ((state ^ (state >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A tenth of the tensors but for the tables. */
function someTensors(seed: number): Sized[] {
  const next = random(seed);
  const tensors = model.filter(([name]) => !/embed|lm_head/.test(name));
  return tensors
    .map((tensor) => ({ tensor, key: next() }))
    .toSorted((a, b) => a.key - b.key)
    .slice(0, Math.floor(model.length / 10))
    .map(({ tensor }) => tensor);
}

const started = JSON.parse(await run("registry-start", "--storage", storage, "--json")) as {
  registry: string;
};
const host = started.registry;
// Few and large parts stand for a small model: one tensor takes its neighbours with it.
const coarse = values.full ? 0.0005 : 0.45;
const documents = values.full ? 0.0002 : 0.003;
try {
  writeTensors(file, model);
  const first = await push("v1");
  const size = (await stat(file)).size;
  expectAtMost("1 first push, over the size", first.sent / size - 1, documents);
  expectAtMost("1 storage, over the size", first.grown / size - 1, documents);
  expectAtMost("1 cold pull, over the size", (await pull("v1")) / size - 1, documents);
  for (const seed of [0, 1, 2, 3, 4]) {
    const changed = someTensors(seed);
    const inherent = changed.reduce((sum, [, bytes]) => sum + bytes, 0) / total;
    writeTensors(file, model, { changed: changed.map(([name]) => name), version: `some${seed}` });
    const { sent, grown } = await push(`some${seed}`);
    const most = inherent + coarse;
    const name = `2 a tenth of the tensors, seed ${seed}, ${percent(inherent)} inherent`;
    expectAtMost(`${name}, push`, sent / size, most);
    expectAtMost(`${name}, storage`, grown / size, most);
    expectAtMost(`${name}, pull`, (await pull(`some${seed}`)) / size, most);
  }
  writeTensors(file, model, { metadata: { note: "x".repeat(200) } });
  const header = await push("header");
  expectAtMost("4 200 bytes of metadata, push", header.sent / size, documents);
  expectAtMost("4 200 bytes of metadata, pull", (await pull("header")) / size, documents);
  await rm(file);
  const quarter = Math.ceil(model.length / 4);
  for (const at of [0, 1, 2, 3]) {
    const path = join(directory, `weights/model-${at + 1}-of-4.safetensors`);
    writeTensors(path, model.slice(at * quarter, (at + 1) * quarter));
  }
  const shards = await push("shards");
  expectAtMost("5 one file to four, push", shards.sent / size, values.full ? 0.002 : 1.01);
  await rm(join(directory, "weights"), { recursive: true });
  writeTensors(file, model, { changed: model.map(([name]) => name), version: "all" });
  const all = await push("all");
  expectAtMost("6 every tensor, push, over the size", all.sent / size - 1, documents);
  await rm(join(directory, "weights"), { recursive: true });
  const numbers = Array.from({ length: 16 }, (_, at): Sized => [`t${at}.weight`, 8 * 2 ** 20]);
  const bytes = 16 * 8 * 2 ** 20;
  writeTensors(file, numbers, { bf16: true });
  const packed = await push("bf16", ["--compression", "auto"]);
  expectAtMost("bf16 in compressed parts, push", packed.sent / bytes, 0.7);
  expectAtMost("bf16 in compressed parts, storage", packed.grown / bytes, 0.7);
  await pull("bf16");
  // The lock keeps the compression.
  writeTensors(file, numbers, { bf16: true, changed: ["t4.weight"] });
  const one = await push("bf16-one");
  expectAtMost("one tensor of 16 in bf16, push", one.sent / bytes, 0.7 / 16 + documents);
  expectAtMost(
    "one tensor of 16 in bf16, pull",
    (await pull("bf16-one")) / bytes,
    1 / 16 + documents,
  );
  await rm(join(directory, "weights"), { recursive: true });
  writeTensors(file, model, { changed: model.map(([name]) => name), version: "times" });
  if (values.full) await compareTimes(Number(values.runs));
} finally {
  await run("registry-stop").catch((error: unknown) => console.error(error));
  await rm(directory, { recursive: true });
}
if (failures > 0) throw new Error(`${failures} scenarios failed`);

/** First push and cold pull of parts against plain, each with new content and an empty cache. */
async function compareTimes(runs: number): Promise<void> {
  const times = new Map<string, number[]>();
  for (let at = 0; at < runs; at += 1) {
    for (const layout of ["bundle", "parts"]) {
      const repository = `${host}/acme/${layout}${at}:v1`;
      const out = join(directory, "out");
      // Nothing is known of what other repositories have; the files are known to be what the lock says.
      cache.at = join(directory, `cache-${layout}${at}`);
      await run("lock", "weights", "--compression", "none");
      for (const [name, args] of [
        ["push", ["push", repository, "--layout", layout, "--weights", "weights"]],
        ["pull", ["pull", repository, out, "--no-cache"]],
      ] as const) {
        const began = performance.now();
        await run(...args);
        const key = `${name} ${layout}`;
        times.set(key, [...(times.get(key) ?? []), performance.now() - began]);
      }
      await rm(out, { recursive: true });
    }
  }
  const median = (key: string): number =>
    (times.get(key) ?? []).toSorted((a, b) => a - b)[Math.floor(runs / 2)] ?? NaN;
  for (const name of ["push", "pull"]) {
    const ratio = median(`${name} parts`) / median(`${name} bundle`);
    console.log(
      `     1 ${name}: ${Math.round(median(`${name} parts`))} ms in parts, ${ratio.toFixed(2)} of plain`,
    );
  }
}
