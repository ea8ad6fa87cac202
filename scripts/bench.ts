// `npm run bench`: ours and peers in turn, on this machine. Peers that are not on the PATH take no part.
//
//   npm run bench -- [--only NAME]... [--size BYTES] [--runs N] [--directory DIR] [--json FILE] [--update FILE]
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Outcome } from "./bench/benchmark.ts";
import { hash } from "./bench/hash.ts";
import { layoutsBenchmark } from "./bench/layouts.ts";
import { load } from "./bench/load.ts";
import { parts } from "./bench/parts.ts";
import { planes } from "./bench/planes.ts";
import { pull } from "./bench/pull.ts";
import { pushLarge, pushNull, pushRegistries } from "./bench/push.ts";
import { machine, reached, tables } from "./bench/report.ts";
import { openStage } from "./bench/stage.ts";
import { serve } from "./bench/serve.ts";
import { sources } from "./bench/sources.ts";
import { start } from "./bench/start.ts";
import { unchanged } from "./bench/unchanged.ts";

const benchmarks = [
  start,
  hash,
  parts,
  planes,
  unchanged,
  pushNull,
  pushLarge,
  pushRegistries,
  pull,
  layoutsBenchmark,
  load,
  serve,
  sources,
];

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    size: { type: "string", default: String(2 * 2 ** 30) },
    runs: { type: "string", default: "3" },
    directory: { type: "string" },
    json: { type: "string" },
    update: { type: "string" },
  },
});
const size = Number(values.size);
const runs = Number(values.runs);
if (!Number.isSafeInteger(size) || !Number.isSafeInteger(runs) || size < 1 || runs < 1) {
  throw new Error("--size and --runs take positive integers");
}
for (const name of values.only ?? []) {
  if (!benchmarks.some((benchmark) => benchmark.name === name)) {
    const names = benchmarks.map((benchmark) => benchmark.name).join(", ");
    throw new Error(`--only "${name}": there is ${names}`);
  }
}

// What is measured is the binary, built from these sources.
if (!process.env["OCIBUNDLE_BINARY"]) {
  const build = Bun.spawn([process.execPath, join(import.meta.dir, "build.ts")], {
    stdout: "ignore",
    stderr: "inherit",
  });
  if ((await build.exited) !== 0) throw new Error("the binary could not be built");
  process.env["OCIBUNDLE_BINARY"] = join(import.meta.dir, "../dist/ocibundle");
}

const outcome: Outcome = { results: [], figures: [] };
for (const benchmark of benchmarks) {
  if (values.only !== undefined && !values.only.includes(benchmark.name)) continue;
  console.error(`${benchmark.name} …`);
  // A stage a benchmark, so that no disk holds more than one needs.
  const stage = await openStage(size, runs, values.directory);
  try {
    const { results, figures } = await benchmark.run(stage);
    outcome.results.push(...results);
    outcome.figures.push(...figures);
  } finally {
    await stage.close();
  }
}

const { cpus, model, system, memoryBytes, bun } = machine();
const on = `${cpus} × ${model}, ${Math.round(memoryBytes / 2 ** 30)} GiB, ${system}, Bun ${bun}`;
const head = `${on}; files of ${(size / 2 ** 20).toFixed(0)} MiB; median of ${runs}`;
const report = `${head}\n\n${tables(outcome.results, outcome.figures)}`;
console.log(report);
if (values.update !== undefined) await update(values.update);
if (values.json !== undefined) {
  const figures = outcome.figures.map((figure) => ({ ...figure, reached: reached(figure) }));
  const document = { machine: machine(), size, runs, results: outcome.results, figures };
  await writeFile(values.json, `${JSON.stringify(document, null, 2)}\n`);
}

/** Puts the report below the mark in a page, in place of what was there. */
async function update(path: string): Promise<void> {
  const page = await readFile(path, "utf8");
  const mark = /^<!-- .*npm run bench.*-->\n/m.exec(page);
  if (mark === null) throw new Error(`${path}: no line says where the report goes`);
  const line = ["npm run bench --", ...process.argv.slice(2)].join(" ");
  const above = page.slice(0, mark.index + mark[0].length);
  await writeFile(path, `${above}\n\`${line}\`, on ${report}`);
}
