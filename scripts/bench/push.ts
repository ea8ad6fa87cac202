import { join } from "node:path";
import { type TestRegistry, startDockerRegistry, startEmbeddedRegistry } from "../registries.ts";
import { type Benchmark, medianOf, ratio } from "./benchmark.ts";
import { type Contestant, type Result, compete } from "./measure.ts";
import { layoutOf, pushPeers } from "./peers.ts";
import type { Figure } from "./report.ts";
import { type Stage, present, startSink, weightFiles } from "./stage.ts";

/** Requests that the plain `fetch` keeps open, and what each sends, in bytes: as ocibundle does. */
const connections = 4;
const slice = 64 * 2 ** 20;

/** A larger file must need no more memory; in bytes. */
const largeFile = 8 * 2 ** 30;

/** In bytes. */
const memoryLimit = 120e6;

/** A push with a current lock to a registry that drops everything, beside the peers and the bare floor. */
export const pushNull: Benchmark = {
  name: "push-null",
  async run(stage) {
    const cwd = await stage.weights(1, stage.size);
    const sink = await stage.start(startSink());
    const address = () => Promise.resolve(sink.address);
    const [path = ""] = await weightFiles(cwd);
    const plainFetch: Contestant = {
      name: "plain fetch",
      command: [
        process.execPath,
        join(import.meta.dir, "plain-fetch.ts"),
        `http://${sink.address}/v2/bench/fetch/blobs/uploads/1`,
        path,
        String(connections),
        String(slice),
      ],
    };
    const contestants = [
      ours(stage, cwd, address),
      plainFetch,
      ...pushPeers(await layoutOf(cwd), address),
    ];
    const results = await compete("push to a null sink", stage.size, contestants, stage.runs);
    return { results, figures: nullFigures(results, stage.size / 1e9) };
  },
};

/** The same push of a file four times as large. */
export const pushLarge: Benchmark = {
  name: "push-large",
  async run(stage) {
    const cwd = await stage.weights(1, largeFile);
    const sink = await stage.start(startSink());
    const push = ours(stage, cwd, () => Promise.resolve(sink.address));
    const results = await compete("push of 8 GiB to a null sink", largeFile, [push], 1);
    return { results, figures: memoryFigures("push of 8 GiB, peak memory", results) };
  },
};

/** The same push to the embedded registry and to docker-registry, which both verify and keep it. */
export const pushRegistries: Benchmark = {
  name: "push-registries",
  async run(stage) {
    const cwd = await stage.weights(1, stage.size);
    const layout = await layoutOf(cwd);
    const to = (where: string, address: () => Promise<string>) =>
      [ours(stage, cwd, address), ...pushPeers(layout, address)].map((contestant) => ({
        ...contestant,
        name: `${contestant.name} to ${where}`,
      }));
    const contestants = to("embedded", alwaysEmpty(stage, "embedded", startEmbeddedRegistry));
    if (present("docker-registry")) {
      contestants.push(...to("docker-registry", alwaysEmpty(stage, "docker", startDockerRegistry)));
    }
    const results = await compete("push to disk", stage.size, contestants, stage.runs);
    return { results, figures: registryFigures(results) };
  },
};

function ours(stage: Stage, cwd: string, address: () => Promise<string>): Contestant {
  return stage.ours(
    async () => ["push", `${await address()}/bench/ocibundle:v1`, "--weights", "weights"],
    { cwd },
  );
}

/** A registry that is new and empty each time its address is asked for. */
export function alwaysEmpty(
  stage: Stage,
  name: string,
  start: (directory: string) => Promise<TestRegistry>,
): () => Promise<string> {
  const directory = join(stage.directory, name);
  let running: TestRegistry | undefined;
  const stop = async (): Promise<void> => {
    await running?.stop();
    running = undefined;
  };
  stage.atEnd(stop);
  return async () => {
    await stop();
    await stage.clear(directory);
    running = await start(directory);
    return running.address;
  };
}

function nullFigures(results: readonly Result[], gigabytes: number): Figure[] {
  const [push, floor, skopeo] = ["ocibundle", "plain fetch", "skopeo"].map((name) =>
    medianOf(results, name),
  );
  if (push === undefined) return [];
  const throughput = gigabytes / push.seconds;
  return [
    // One of the two is enough.
    ...(throughput >= 1.2
      ? [{ name: "push, throughput", value: throughput, needed: { atLeast: 1.2 }, unit: "GB/s" }]
      : ratio("push, speed against plain fetch", floor?.seconds, push.seconds, { atLeast: 0.8 })),
    {
      name: "push, CPU",
      value: push.cpuSeconds / gigabytes,
      needed: { atMost: 0.6 },
      unit: "CPU s/GB",
    },
    ...ratio("push, CPU against skopeo", push.cpuSeconds, skopeo?.cpuSeconds, { atMost: 0.25 }),
    ...memoryFigures("push, peak memory", results),
  ];
}

function memoryFigures(name: string, results: readonly Result[]): Figure[] {
  const peakBytes = medianOf(results, "ocibundle")?.peakBytes;
  if (peakBytes === undefined) return [];
  return [{ name, value: peakBytes / 1e6, needed: { atMost: memoryLimit / 1e6 }, unit: "MB" }];
}

function registryFigures(results: readonly Result[]): Figure[] {
  const seconds = (name: string) => medianOf(results, name)?.seconds;
  return ratio(
    "embedded registry taking a push, speed against docker-registry",
    seconds("ocibundle to docker-registry"),
    seconds("ocibundle to embedded"),
    { atLeast: 3 },
  );
}
