// What versions of a model in parts send and store, counted: the binary against its own registry.
//
//   bun scripts/parts-scenarios.ts [--full] [--runs N]
//
// Without --full, with a model of 67 MiB; with it, of a gigabyte, and with times against a plain push and pull.
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { modelL, type Sized } from "../test/support/tensors/model-shapes.ts";
import { smallModel, writeTensors } from "../test/support/tensors/tensor-file.ts";
import { scenariosOfPlainReaders } from "./scenarios/plain.ts";
import { scenariosOfRealModels } from "./scenarios/real-models.ts";
import {
  expectAtMost,
  expectNoFailures,
  openWorkbench,
  percent,
  random,
} from "./scenarios/workbench.ts";

const { values } = parseArgs({
  options: { full: { type: "boolean", default: false }, runs: { type: "string", default: "3" } },
});
const model = values.full ? modelL() : smallModel();
const bench = await openWorkbench();
const { directory, host, cache, run, push, pull } = bench;

const file = join(directory, "weights/model.safetensors");
const total = model.reduce((sum, [, bytes]) => sum + bytes, 0);

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
  await bench[Symbol.asyncDispose]();
}
const some = someTensors(0);
const share = some.reduce((sum, [, bytes]) => sum + bytes, 0) / total;
await scenariosOfPlainReaders(model, { changed: some, most: share + coarse });
await scenariosOfRealModels();
expectNoFailures();

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
