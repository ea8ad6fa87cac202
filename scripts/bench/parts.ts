import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { decoder, type Sized } from "../../test/support/tensors/model-shapes.ts";
import { writeTensors } from "../../test/support/tensors/tensor-file.ts";
import { startDockerRegistry, startEmbeddedRegistry, type TestRegistry } from "../registries.ts";
import { type Benchmark, medianOf, ratio } from "./benchmark.ts";
import { compete, type Contestant, type Result } from "./measure.ts";
import { alwaysEmpty } from "./push.ts";
import type { Figure } from "./report.ts";
import { present, type Stage, startLink, startSink } from "./stage.ts";

/** In bytes. */
const pushMemory = 120e6;
const pullMemory = 160e6;

/** In bytes a second. */
const slowConnection = 50e6;
const slowLink = 125e6;

/** Of the size, what is pushed over a link that gives a plain push one slow connection. */
const slowShare = 1 / 4;

const kinds = ["plain", "parts"] as const;
type Kind = (typeof kinds)[number];

/** One safetensors file in parts, against the same file as one blob. */
export const parts: Benchmark = {
  name: "parts",
  async run(stage) {
    const model = modelOf(stage.size);
    const bytes = sizeOf(model);
    const cwd = await writeModel(stage, "model", model);
    const locked = await locking(stage, cwd, bytes);
    for (const kind of kinds) await stage.run(lockArgs(kind), cwd);

    const firstPush = (to: string, start: (directory: string) => Promise<TestRegistry>) => {
      const registry = alwaysEmpty(stage, `parts-pushed-${to}`, start);
      const pushers = kinds.map((kind) => pusher(stage, kind, cwd, registry));
      return compete(`first push to ${to}`, bytes, pushers, stage.runs);
    };
    const pushed = await firstPush("embedded", startEmbeddedRegistry);
    const pushedToDocker = present("docker-registry")
      ? await firstPush("docker-registry", startDockerRegistry)
      : [];
    const source = await stage.start(startEmbeddedRegistry(join(stage.directory, "parts-source")));
    for (const kind of kinds) await stage.run(pushArgs(source.address, kind), cwd);
    const pulled = await compete(
      "cold pull from embedded",
      bytes,
      kinds.map((kind) => puller(stage, kind, source.address)),
      stage.runs,
    );
    const tenth = await tenthNew(stage, { model, bytes, cwd, address: source.address });
    const pushedSlowly = await slowPush(stage);
    const pulledSlowly = await slowPull(stage, bytes, source.address);
    return {
      results: [
        ...locked,
        ...pushed,
        ...pushedToDocker,
        ...pulled,
        ...tenth,
        ...pushedSlowly,
        ...pulledSlowly,
      ],
      figures: [
        ...ratio(
          "lock of parts, speed against openssl",
          medianOf(locked, "openssl")?.seconds,
          medianOf(locked, "parts")?.seconds,
          { atLeast: 0.9 },
        ),
        ...againstPlain("first push in parts, time against plain", pushed),
        ...againstPlain(
          "first push in parts to docker-registry, time against plain",
          pushedToDocker,
        ),
        ...memory("first push in parts, peak memory", pushed, pushMemory),
        ...againstPlain("cold pull of parts, time against plain", pulled),
        ...memory("cold pull of parts, peak memory", pulled, pullMemory),
        ...ratio(
          "1 Gb/s: pull of a version with a tenth new, time against the first",
          medianOf(tenth, "second version")?.seconds,
          medianOf(tenth, "first version")?.seconds,
          { atMost: 0.15 },
        ),
        ...ratio(
          "50 MB/s per connection: first push in parts, speed against plain",
          medianOf(pushedSlowly, "plain")?.seconds,
          medianOf(pushedSlowly, "parts")?.seconds,
          { atLeast: 5 },
        ),
        ...memory(
          "50 MB/s per connection: first push in parts, peak memory",
          pushedSlowly,
          pushMemory,
        ),
        ...againstPlain(
          "50 MB/s per connection: cold pull of parts, time against plain",
          pulledSlowly,
        ),
      ],
    };
  },
};

const sizeOf = (model: readonly Sized[]): number =>
  model.reduce((sum, [, bytes]) => sum + bytes, 0);

const shape = (layers: number): Sized[] =>
  decoder({ hidden: 1024, inter: 3584, layers, heads: 8, keys: 2, vocabulary: 32_064 });

/** A decoder of about so many bytes: more layers in a larger one. */
function modelOf(size: number): Sized[] {
  const one = sizeOf(shape(1));
  const layer = sizeOf(shape(2)) - one;
  return shape(Math.max(1, Math.round((size - one) / layer) + 1));
}

/** Writes a model's file; resolves to the directory that it is below, in `weights/`. */
async function writeModel(
  stage: Stage,
  name: string,
  model: readonly Sized[],
  changed: readonly string[] = [],
): Promise<string> {
  const cwd = join(stage.directory, name);
  writeTensors(join(cwd, "weights/model.safetensors"), model, { changed });
  return Promise.resolve(cwd);
}

const partsFlag = (kind: Kind): string[] => (kind === "parts" ? ["--parts"] : []);

const lockArgs = (kind: Kind): string[] => [
  "lock",
  "weights",
  "-o",
  `${kind}.lock`,
  ...partsFlag(kind),
];

const pushArgs = (address: string, kind: Kind, tag = "v1"): string[] => [
  "push",
  `${address}/bench/${kind}:${tag}`,
  "--weights",
  "weights",
  "--lock",
  `${kind}.lock`,
  ...partsFlag(kind),
];

async function locking(stage: Stage, cwd: string, bytes: number): Promise<Result[]> {
  const cache = join(stage.directory, "lock-cache");
  const lockers = kinds.map((kind) =>
    stage.ours(
      async () => {
        // Neither the lock nor what is remembered of the file may spare the work.
        await rm(join(cwd, `${kind}.lock`), { force: true });
        await rm(cache, { recursive: true, force: true });
        return lockArgs(kind);
      },
      { name: kind, cwd, env: { XDG_CACHE_HOME: cache } },
    ),
  );
  const command = ["openssl", "dgst", "-sha256", "weights/model.safetensors"];
  const peers: Contestant[] = present("openssl") ? [{ name: "openssl", cwd, command }] : [];
  return compete("lock of one safetensors", bytes, [...lockers, ...peers], stage.runs);
}

const pusher = (
  stage: Stage,
  kind: Kind,
  cwd: string,
  address: () => Promise<string>,
): Contestant => stage.ours(async () => pushArgs(await address(), kind), { name: kind, cwd });

/** Pulls into an empty directory with an empty cache. */
function puller(stage: Stage, kind: Kind, address: string): Contestant {
  const cache = join(stage.directory, "parts-cache");
  const out = join(stage.directory, "parts-out");
  return stage.ours(
    async () => {
      await rm(cache, { recursive: true, force: true });
      await rm(out, { recursive: true, force: true });
      return ["pull", `${address}/bench/${kind}:v1`, out];
    },
    { name: kind, env: { XDG_CACHE_HOME: cache } },
  );
}

interface Pushed {
  model: readonly Sized[];
  bytes: number;
  cwd: string;
  address: string;
}

/** A smaller tensor shares a part with others; in bytes. */
const ownPart = 1024 * 1024;

/**
 * Tensors with about a tenth of a model's bytes, of all kinds and from all layers. No small ones: a single new one of
 * those makes some 60 MB new. No table of words: one is a thirtieth of this model.
 */
function tenthOf(model: readonly Sized[]): string[] {
  const large = model.filter(([name, size]) => size >= ownPart && !/embed|lm_head/.test(name));
  const step = Math.round((10 * sizeOf(large)) / sizeOf(model));
  return large.filter((_, index) => index % step === step >> 1).map(([name]) => name);
}

/** A model and then its second version, in which a tenth of the bytes is new, over a link of 1 Gb/s in all. */
async function tenthNew(stage: Stage, { model, bytes, cwd, address }: Pushed): Promise<Result[]> {
  const next = await writeModel(stage, "next", model, tenthOf(model));
  // Without the large file there is room for two more.
  await rm(join(cwd, "weights"), { recursive: true });
  await rename(join(cwd, "parts.lock"), join(next, "parts.lock"));
  await stage.run(lockArgs("parts"), next);
  await stage.run(pushArgs(address, "parts", "v2"), next);
  await rm(next, { recursive: true });
  const link = await stage.start(startLink(address, "all", slowLink));
  const first = puller(stage, "parts", link.address);
  const out = join(stage.directory, "parts-out-of-second");
  // With the cache that the first version has filled.
  const second = stage.ours(
    async () => {
      await rm(out, { recursive: true, force: true });
      return ["pull", `${link.address}/bench/parts:v2`, out];
    },
    { name: "second version", env: { XDG_CACHE_HOME: join(stage.directory, "parts-cache") } },
  );
  const name = "pull of parts at 1 Gb/s";
  return compete(name, bytes, [{ ...first, name: "first version" }, second], stage.runs);
}

/** First pushes of a smaller model over a link that limits each connection: a plain push has one. */
async function slowPush(stage: Stage): Promise<Result[]> {
  const model = modelOf(stage.size * slowShare);
  const cwd = await writeModel(stage, "slow", model);
  for (const kind of kinds) await stage.run(lockArgs(kind), cwd);
  const sink = await stage.start(startSink());
  const link = await stage.start(startLink(sink.address, "connection", slowConnection));
  return compete(
    "first push at 50 MB/s per connection",
    sizeOf(model),
    kinds.map((kind) => pusher(stage, kind, cwd, () => Promise.resolve(link.address))),
    1,
  );
}

/** Cold pulls of what the registry at `address` has, `bytes` bytes, over a link that limits each connection. */
async function slowPull(stage: Stage, bytes: number, address: string): Promise<Result[]> {
  const link = await stage.start(startLink(address, "connection", slowConnection));
  return compete(
    "cold pull at 50 MB/s per connection",
    bytes,
    kinds.map((kind) => puller(stage, kind, link.address)),
    stage.runs,
  );
}

const againstPlain = (name: string, results: readonly Result[]): Figure[] =>
  ratio(name, medianOf(results, "parts")?.seconds, medianOf(results, "plain")?.seconds, {
    atMost: 1.05,
  });

function memory(name: string, results: readonly Result[], most: number): Figure[] {
  const peak = medianOf(results, "parts")?.peakBytes;
  if (peak === undefined) return [];
  return [{ name, value: peak / 1e6, needed: { atMost: most / 1e6 }, unit: "MB" }];
}
