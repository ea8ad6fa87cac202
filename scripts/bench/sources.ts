import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { findLibrary } from "../parts.ts";
import { program } from "../program.ts";
import { startEmbeddedRegistry } from "../registries.ts";
import { type Benchmark, medianOf, ratio } from "./benchmark.ts";
import { type BenchHub, startHub } from "./hub.ts";
import { compete, type Contestant } from "./measure.ts";
import { alwaysEmpty } from "./push.ts";
import type { Figure } from "./report.ts";
import { type Stage, startSink } from "./stage.ts";

const library = "huggingface_hub-2.4.0";
const fileCount = 4;

/** In bytes. */
const memoryLimit = 160e6;
const largeModel = 8 * 2 ** 30;

/** What a hub gives each connection, in bytes a second. */
const connectionRate = 50e6;

/**
 * A model of four files from a hub to a registry, against `hf download`, `lock` and `push`; the same again; a model
 * of 8 GiB, for the memory; and one file from a hub that is slow on each connection.
 */
export const sources: Benchmark = {
  name: "sources",
  async run(stage) {
    const cwd = await stage.weights(fileCount, Math.floor(stage.size / fileCount));
    const hub = await openHub(stage, cwd);
    const registry = alwaysEmpty(stage, "sources", startEmbeddedRegistry);
    const contestants = [ours(stage, hub, registry), ...withDownload(stage, hub, registry)];
    const name = "hub to registry, 4 files";
    const results = await compete(name, stage.size, contestants, stage.runs);
    const seconds = (who: string) => medianOf(results, who)?.seconds;
    const figures = [
      ...ratio(
        "hub to registry: speed against hf download, lock and push",
        seconds("hf download, lock, push"),
        seconds("ocibundle"),
        { atLeast: 2 },
      ),
      ...memoryOf("hub to registry: peak memory", medianOf(results, "ocibundle")?.peakBytes),
      ...(await again(stage, hub, registry)),
    ];
    const large = await bySink(stage, largeModel, fileCount);
    const slow = await bySink(stage, Math.floor(stage.size / fileCount), 1, connectionRate);
    const speed = slow.bytes / (slow.results[0]?.median.seconds ?? Number.POSITIVE_INFINITY);
    return {
      results: [...results, ...large.results, ...slow.results],
      figures: [
        ...figures,
        ...memoryOf("8 GiB from a hub: peak memory", large.results[0]?.median.peakBytes),
        {
          name: "hub of 50 MB/s per connection: speed against one connection",
          value: speed / connectionRate,
          needed: { atLeast: 3 },
          unit: "",
        },
      ],
    };
  },
};

async function openHub(stage: Stage, cwd: string, rate?: number): Promise<BenchHub> {
  const lock = JSON.parse(await readFile(join(cwd, "weights.lock"), "utf8")) as {
    files: { dest: string; digestOriginal: string; sizeUncompressed: number }[];
  };
  const files = lock.files.map(({ dest, digestOriginal, sizeUncompressed: size }) => {
    const name = dest.slice(dest.lastIndexOf("/") + 1);
    const sha256 = digestOriginal.replace("sha256:", "");
    return { name, size, sha256, path: join(cwd, "weights", name) };
  });
  const hub = startHub(files, rate);
  stage.atEnd(() => hub.stop());
  return hub;
}

const ours = (stage: Stage, hub: BenchHub, address: () => Promise<string>): Contestant =>
  stage.ours(
    async () => ["push", `${await address()}/acme/tiny:v1`, "hf://acme/tiny", "--no-lock"],
    { env: { HF_ENDPOINT: hub.endpoint } },
  );

/** What one does without: a copy on the disk, which is hashed and pushed. */
function withDownload(stage: Stage, hub: BenchHub, address: () => Promise<string>): Contestant[] {
  const path = findLibrary(library);
  if (path === undefined) {
    console.error(`sources: ${library} is not installed (scripts/ci-dependencies.sh)`);
    return [];
  }
  const to = join(stage.directory, "downloaded");
  const quoted = program()
    .map((word) => `'${word}'`)
    .join(" ");
  const script = [
    `python3 -c 'from huggingface_hub.cli.hf import main; main()' download acme/tiny --local-dir "$0"`,
    `${quoted} lock "$0" -o "$0.lock"`,
    `${quoted} push "$1/acme/tiny:v1" --weights "$0" --lock "$0.lock"`,
  ].join(" && ");
  return [
    {
      name: "hf download, lock, push",
      env: {
        HF_ENDPOINT: hub.endpoint,
        HF_HUB_DISABLE_PROGRESS_BARS: "1",
        HF_HUB_DISABLE_TELEMETRY: "1",
        PYTHONPATH: path,
        XDG_CACHE_HOME: join(stage.directory, "cache-of-download"),
      },
      command: async () => {
        await rm(to, { recursive: true, force: true });
        return ["sh", "-c", script, to, await address()];
      },
    },
  ];
}

/** The same model again, and into another repository: bytes that the hub and the program send. */
async function again(
  stage: Stage,
  hub: BenchHub,
  address: () => Promise<string>,
): Promise<Figure[]> {
  const registry = await address();
  let sent = 0;
  const push = (repository: string): Contestant =>
    stage.ours(["push", `${registry}/${repository}:v1`, "hf://acme/tiny", "--no-lock", "--json"], {
      env: { HF_ENDPOINT: hub.endpoint },
      check: async (stdout) => {
        const report = JSON.parse(stdout) as { sent: { bytes: number } };
        sent += report.sent.bytes;
        return Promise.resolve();
      },
    });
  await compete("first", 0, [push("acme/first")], 1);
  const before = hub.sent();
  sent = 0;
  await compete("again", 0, [push("acme/first"), push("acme/second")], 1);
  const none = { needed: { atMost: 0 }, unit: "B" };
  return [
    { name: "the same again, and elsewhere: from the hub", value: hub.sent() - before, ...none },
    { name: "the same again, and elsewhere: to the registry", value: sent, ...none },
  ];
}

/** A model to a registry that drops everything. */
async function bySink(stage: Stage, bytes: number, count: number, rate?: number) {
  const cwd = await stage.weights(count, Math.floor(bytes / count));
  const hub = await openHub(stage, cwd, rate);
  const sink = await stage.start(startSink());
  const push = ours(stage, hub, () => Promise.resolve(sink.address));
  const what = rate === undefined ? "8 GiB from a hub" : "50 MB/s per connection";
  return { bytes, results: await compete(`${what}, null sink`, bytes, [push], 1) };
}

const memoryOf = (name: string, peak: number | undefined): Figure[] =>
  peak === undefined
    ? []
    : [{ name, value: peak / 1e6, needed: { atMost: memoryLimit / 1e6 }, unit: "MB" }];
