import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type TestRegistry, startDockerRegistry, startEmbeddedRegistry } from "../registries.ts";
import { type Benchmark, medianOf, ratio } from "./benchmark.ts";
import { type Contestant, type Result, compete, measure } from "./measure.ts";
import { layoutOf } from "./peers.ts";
import type { Figure } from "./report.ts";
import { type Stage, present } from "./stage.ts";

/** In bytes. */
const memoryLimit = 160e6;
const manyFiles = 20;

/** A model of `count` weight files on a registry, in ocibundle's form and as the peers take it. */
interface Pushed {
  address: string;
  weights: string;
  image: string;
  /** Of the weight files, below the repository of `weights`. */
  blobs: readonly string[];
}

/** Pulling one large weight file and many smaller ones, with an empty cache and with a full one. */
export const pull: Benchmark = {
  name: "pull",
  async run(stage) {
    const results: Result[] = [];
    const figures: Figure[] = [];
    const registries: { where: string; start: (directory: string) => Promise<TestRegistry> }[] = [
      { where: "embedded", start: startEmbeddedRegistry },
      ...(present("docker-registry")
        ? [{ where: "docker-registry", start: startDockerRegistry }]
        : []),
    ];
    for (const { where, start } of registries) {
      const registry = await stage.start(start(join(stage.directory, where)));
      const one = await round(stage, where, registry.address, 1);
      const many = await round(stage, where, registry.address, manyFiles);
      results.push(...one, ...many);
      if (where === "embedded") figures.push(...figuresOf(one, many));
    }
    return { results, figures };
  },
};

async function round(
  stage: Stage,
  where: string,
  address: string,
  count: number,
): Promise<Result[]> {
  const bytes = Math.floor(stage.size / count);
  const cwd = await stage.weights(count, bytes);
  const pushed = await pushBoth(stage, cwd, address, count);
  const title = `pull ${count} file${count === 1 ? "" : "s"} from ${where}`;
  const contestants = [
    ours(stage, "cold", pushed),
    ours(stage, "warm", pushed),
    ...peers(stage, pushed),
  ];
  return await compete(title, count * bytes, contestants, stage.runs);
}

async function pushBoth(
  stage: Stage,
  cwd: string,
  address: string,
  count: number,
): Promise<Pushed> {
  const weights = `${address}/bench/weights-${count}:v1`;
  const image = `${address}/bench/image-${count}:v1`;
  await stage.run(["push", weights, "--weights", "weights"], cwd);
  await stage.run(["copy", `oci:${await layoutOf(cwd)}:v1`, image], cwd);
  const lock = JSON.parse(await readFile(join(cwd, "weights.lock"), "utf8")) as {
    files: { digest: string }[];
  };
  const base = `http://${address}/v2/bench/weights-${count}/blobs`;
  return { address, weights, image, blobs: lock.files.map(({ digest }) => `${base}/${digest}`) };
}

/** Ours: verified and at the files' dest paths. The cache is emptied before, or full from the run before. */
function ours(stage: Stage, cache: "cold" | "warm", { weights }: Pushed): Contestant {
  const cacheDirectory = join(stage.directory, `pull-cache-${cache}`);
  const out = join(stage.directory, "pulled");
  const args = ["pull", weights, "-o", out];
  const env = { XDG_CACHE_HOME: cacheDirectory };
  return stage.ours(
    async () => {
      await rm(out, { recursive: true, force: true });
      if (cache === "cold") await rm(cacheDirectory, { recursive: true, force: true });
      // The first run fills the cache; what it wrote to the dest is not to be there already.
      else {
        await measure(stage.ours(args, { env }));
        await rm(out, { recursive: true });
      }
      return args;
    },
    { name: `ocibundle (${cache} cache)`, env },
  );
}

/** The peers that are on the PATH, and curl, which verifies nothing, as the floor. */
function peers(stage: Stage, { image, blobs }: Pushed): Contestant[] {
  const out = join(stage.directory, "peer-pulled");
  const fresh = async (...command: string[]): Promise<string[]> => {
    await rm(out, { recursive: true, force: true });
    await mkdir(out);
    return command;
  };
  const all: Contestant[] = [
    {
      name: "curl",
      command: () =>
        fresh("curl", "--silent", "--fail", "--output-dir", out, "--remote-name-all", ...blobs),
    },
    {
      name: "skopeo",
      command: () =>
        fresh("skopeo", "copy", "-q", "--src-tls-verify=false", `docker://${image}`, `dir:${out}`),
    },
    {
      name: "oras",
      command: () =>
        fresh("oras", "cp", "--no-tty", "--from-plain-http", "--to-oci-layout", image, `${out}:v1`),
    },
    {
      name: "crane",
      command: () => fresh("crane", "pull", "--insecure", "--format=oci", image, out),
    },
  ];
  return all.filter(({ name }) => present(name));
}

function figuresOf(one: readonly Result[], many: readonly Result[]): Figure[] {
  const seconds = (name: string) => medianOf(one, name)?.seconds;
  const cold = "ocibundle (cold cache)";
  const peak = medianOf(one, cold)?.peakBytes;
  const warm = medianOf(many, "ocibundle (warm cache)")?.seconds;
  const against = (peer: string, atLeast: number): Figure[] =>
    ratio(`pull of one file, speed against ${peer}`, seconds(peer), seconds(cold), { atLeast });
  return [
    ...against("curl", 1),
    ...against("skopeo", 2),
    ...against("oras", 2),
    ...(peak === undefined
      ? []
      : [
          {
            name: "pull of one file, peak memory",
            value: peak / 1e6,
            needed: { atMost: memoryLimit / 1e6 },
            unit: "MB",
          },
        ]),
    ...(warm === undefined
      ? []
      : [
          {
            name: `pull of ${manyFiles} files that the cache has`,
            value: warm,
            needed: { atMost: 0.3 },
            unit: "s",
          },
        ]),
  ];
}
