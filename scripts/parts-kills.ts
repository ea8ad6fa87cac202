// A model in parts is pushed and pulled, and killed at random moments, against registries of several kinds: how much
// is sent and fetched more than once.
//
//   bun scripts/parts-kills.ts [--full] [--kills N] [--like NAME]...
//
// Without --full, with a model of 67 MiB; with it, of a gigabyte.
import { existsSync } from "node:fs";
import { open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openWire } from "../test/support/attacks/counting-wire.ts";
import { modelL } from "../test/support/tensors/model-shapes.ts";
import { smallModel, writeTensors } from "../test/support/tensors/tensor-file.ts";
import { program } from "./program.ts";
import { openExactWire } from "./scenarios/exact-wire.ts";
import {
  expectAtMost,
  expectNoFailures,
  expectThat,
  openWorkbench,
  percent,
  random,
  sha256,
  type Workbench,
} from "./scenarios/workbench.ts";

const { values } = parseArgs({
  options: {
    full: { type: "boolean", default: false },
    kills: { type: "string", default: "20" },
    like: { type: "string", multiple: true },
  },
});
const kills = Number(values.kills);
const mebibyte = 1024 * 1024;

interface Kind {
  like: string;
  scale?: number;
  /** More parts than this registry takes as layers. */
  mostParts?: number;
  /** The largest part, where the registry takes no larger blob, in bytes. */
  most?: number;
  /** Without ranges, a part that was on its way is fetched from its start again. */
  hasRanges?: boolean;
}

const kinds: Kind[] = [
  // 107 MB a blob, and 6 s an upload: by 1000, the time would be too short for a busy machine.
  { like: "ghcr", scale: 100, most: 32 * mebibyte },
  { like: "ecr" },
  { like: "acr" },
  { like: "gitlab", mostParts: 200 },
  { like: "artifactory", hasRanges: false },
  { like: "s3" },
];

/** After what has arrived it is killed within this time, in milliseconds. */
const longestPause = 100;

/** So long after SIGSTOP everything stands still, and the system has acknowledged what it received. Milliseconds. */
const stopMilliseconds = 300;

/** Streams of a push, and of a pull. */
const streams = 12;

/** What a killed pull has on average received and not noted, in bytes: one buffer of the runtime, and documents. */
const lostInPull = 500_000;

await using source = await openWorkbench();
const file = join(source.weights, "model.safetensors");
writeTensors(file, values.full ? modelL() : smallModel());
const { size } = await stat(file);
const digest = await sha256(file);
for (const kind of kinds.filter(({ like }) => values.like?.includes(like) ?? true)) {
  const { like, scale } = kind;
  const flags = ["--like", like, ...(scale === undefined ? [] : ["--scale", String(scale)])];
  await using bench = await openWorkbench(flags);
  await underKills(kind, bench);
}
await withDamage();
expectNoFailures();

/** Pushes and pulls, until it is done after so many kills. */
async function underKills(kind: Kind, bench: Workbench): Promise<void> {
  const parts = await lock(kind, bench);
  // What each of the streams had of a part, the largest of which are on their way longest; the registry may keep it.
  const most = (2 * kills * streams) / parts;
  const next = random(kinds.indexOf(kind));
  const port = Number(bench.host.split(":")[1]);
  await pushed(kind, { bench, port, next, most });
  await pulled(kind, { bench, port, next, most });
}

interface Run {
  bench: Workbench;
  /** The registry's. */
  port: number;
  next: () => number;
  /** Over the size, where only parts that are whole are kept. */
  most: number;
}

function nameAt(port: number): string {
  return `127.0.0.1:${port}/acme/l:v1`;
}

async function pushed({ like }: Kind, { bench, port, next, most }: Run): Promise<void> {
  const wire = await openWire(port);
  try {
    const args = ["push", nameAt(wire.port), "--parts", "--weights", source.weights];
    const { times } = await killed(bench, args, {
      passed: () => wire.bytes("up"),
      arrived: (bytes) => wire.arrived("up", bytes),
      next,
    });
    const sent = wire.bytes("up") / size - 1;
    expectAtMost(`7 ${like}, push with ${times} kills, sent over the size`, sent, most);
  } finally {
    wire.stop();
  }
}

async function pulled(kind: Kind, { bench, port, next, most }: Run): Promise<void> {
  const { like, hasRanges = true } = kind;
  const wire = openExactWire(port);
  try {
    const out = join(bench.directory, "out");
    const target = join(out, "src/weights/model.safetensors");
    const { times, received } = await killed(bench, ["pull", nameAt(wire.port), out], {
      passed: wire.handedOver,
      arrived: wire.arrived,
      unread: wire.unread,
      next,
      async afterKill() {
        if (existsSync(target)) expectThat(`7 ${like}, a file`, (await sha256(target)) === digest);
      },
    });
    const over = hasRanges ? (times * lostInPull) / size : most;
    const what = `7 ${like}, pull with ${times} kills`;
    expectAtMost(`${what}, fetched over the size`, received / size - 1, over);
    // The rest was in the system's buffers: how much that is depends on how fast the server is.
    console.log(`     ${what}, sent over the size: ${percent(wire.handedOver() / size - 1)}`);
    expectThat(`7 ${like}, the file is right`, (await sha256(target)) === digest);
  } finally {
    wire.stop();
  }
}

/** Writes the lock, and answers how many parts the file has. */
async function lock({ mostParts, most }: Kind, bench: Workbench): Promise<number> {
  const path = join(bench.directory, "weights.lock");
  const layers = mostParts === undefined ? [] : ["--most-parts", String(mostParts)];
  const run = () => bench.run("lock", source.weights, "--parts", ...layers);
  await run();
  if (most !== undefined) {
    const text = await readFile(path, "utf8");
    // As if another file had been locked before: its numbers stay.
    await writeFile(
      path,
      text
        .replace(/"most": ?\d+/, `"most": ${most}`)
        .replaceAll(/"(?:digest\w*|setDigest)": ?"sha256:[0-9a-f]{64}"/g, (member) =>
          member.replace(/[0-9a-f]{64}/, "0".repeat(64)),
        ),
    );
    await run();
  }
  const found = JSON.parse(await readFile(path, "utf8")) as {
    files: { "ocibundle.parts": { parts: unknown[] } }[];
  };
  return found.files[0]?.["ocibundle.parts"].parts.length ?? 0;
}

interface Attack {
  /** Bytes that have passed so far. */
  passed(): number;
  arrived(bytes: number): Promise<void>;
  /** How many of them the program has not received yet; it stands still meanwhile. */
  unread?(): number;
  next(): number;
  afterKill?(): Promise<void>;
}

/**
 * Runs the program until it is done, and kills it so many times before; answers how often it was killed, and how
 * many bytes passed, without those that lay in the system's buffers when it was killed.
 */
async function killed(
  bench: Workbench,
  args: readonly string[],
  { passed, arrived, unread = () => 0, next, afterKill }: Attack,
): Promise<{ times: number; received: number }> {
  let times = 0;
  let received = 0;
  for (;;) {
    const before = passed();
    const env = { ...process.env, XDG_CACHE_HOME: bench.cache.at, OCIBUNDLE_PROGRESS: "none" };
    const child = Bun.spawn([...program(), ...args], {
      cwd: bench.directory,
      env,
      stdout: "ignore",
      stderr: "pipe",
    });
    const stderr = new Response(child.stderr).text();
    let got: number | undefined;
    if (times < kills) {
      await Promise.race([arrived(before + (next() * 1.6 * size) / (kills + 1)), child.exited]);
      await Bun.sleep(next() * longestPause);
      child.kill("SIGSTOP");
      await Bun.sleep(stopMilliseconds);
      got = passed() - unread() - before;
      child.kill("SIGKILL");
    }
    const code = await child.exited;
    received += code === 0 ? passed() - before : (got ?? 0);
    if (code === 0) return { times, received };
    if (child.signalCode !== "SIGKILL") throw new Error(`${args.join(" ")}: ${await stderr}`);
    times += 1;
    await afterKill?.();
  }
}

/** A part that is damaged on its way, and a seed that is damaged. */
async function withDamage(): Promise<void> {
  const corrupt = ["--fault", "corrupt,method=GET,path=~/blobs/sha256,after=3"];
  {
    await using bench = await openWorkbench(corrupt);
    await lock({ like: "" }, bench);
    const name = `${bench.host}/acme/l:v1`;
    await bench.run("push", name, "--parts", "--weights", source.weights);
    const failure = await bench.run("pull", name, "out", "--no-cache").then(
      () => "",
      (error: unknown) => String(error),
    );
    expectThat("7 a corrupt part is an integrity error", /does not match|digest/.test(failure));
    const target = join(bench.directory, "out/src/weights/model.safetensors");
    expectThat("7 a corrupt part leaves no file", !existsSync(target));
  }
  await using bench = await openWorkbench();
  await lock({ like: "" }, bench);
  const name = `${bench.host}/acme/l:v1`;
  await bench.run("push", name, "--parts", "--weights", source.weights);
  await bench.run("pull", name, "first", "--no-cache");
  const seed = join(bench.directory, "first/src/weights/model.safetensors");
  {
    await using damaged = await open(seed, "r+");
    await damaged.write(new Uint8Array(100), 0, 100, Math.floor(size / 2));
  }
  const text = await bench.run("pull", name, "second", "--no-cache", "--seed", seed, "--json");
  const { reused = 0 } = JSON.parse(text) as { reused?: number };
  const target = join(bench.directory, "second/src/weights/model.safetensors");
  expectThat("7 a damaged seed is fetched anew, and right", (await sha256(target)) === digest);
  const share = values.full ? 0.02 : 0.1;
  expectAtMost("7 a damaged seed, fetched", 1 - reused / size, share);
  await rm(seed);
}
