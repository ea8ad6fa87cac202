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
import {
  expectAtMost,
  expectNoFailures,
  expectThat,
  openWorkbench,
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

/** Streams of a push, and of a pull. */
const streams = 12;

/** What a killed pull has at most received of each stream and not noted, in bytes: most of it was not written yet. */
const lostInPull = streams * 2 * mebibyte;

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

/** Pushes and pulls through a wire that counts, until it is done after so many kills. */
async function underKills(kind: Kind, bench: Workbench): Promise<void> {
  const { like, hasRanges = true } = kind;
  const parts = await lock(kind, bench);
  const wire = await openWire(Number(bench.host.split(":")[1]));
  try {
    const name = `127.0.0.1:${wire.port}/acme/l:v1`;
    const next = random(kinds.indexOf(kind));
    const push = ["push", name, "--parts", "--weights", source.weights];
    const pushes = await killed(bench, push, { wire, direction: "up", next });
    // What each of the streams had of a part, the largest of which are on their way longest; the registry may keep it.
    const most = (2 * kills * streams) / parts;
    const sent = wire.bytes("up") / size - 1;
    expectAtMost(`7 ${like}, push with ${pushes.times} kills, sent over the size`, sent, most);
    const before = wire.bytes("down");
    const out = join(bench.directory, "out");
    const target = join(out, "src/weights/model.safetensors");
    const pulls = await killed(bench, ["pull", name, out], {
      wire,
      direction: "down",
      next,
      async afterKill() {
        if (existsSync(target)) expectThat(`7 ${like}, a file`, (await sha256(target)) === digest);
      },
    });
    const over = hasRanges ? (pulls.times * lostInPull) / size : most;
    const fetched = (wire.bytes("down") - before - pulls.unread) / size - 1;
    expectAtMost(`7 ${like}, pull with ${pulls.times} kills, fetched over the size`, fetched, over);
    expectThat(`7 ${like}, the file is right`, (await sha256(target)) === digest);
  } finally {
    wire.stop();
  }
}

/** Bytes that have come from a port of this machine and were not read yet. */
async function unreadFrom(port: number): Promise<number> {
  const from = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = (await readFile("/proc/net/tcp", "utf8")).split("\n").slice(1);
  let bytes = 0;
  for (const line of lines) {
    // sl, local address, remote address, state, what is to be sent and what was received
    const [, local, remote, , queues = ""] = line.trim().split(/\s+/);
    const [sending = "0", received = "0"] = queues.split(":");
    if (remote === from) bytes += Number.parseInt(received, 16);
    if (local === from) bytes += Number.parseInt(sending, 16);
  }
  return bytes;
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
  wire: Awaited<ReturnType<typeof openWire>>;
  direction: "up" | "down";
  next: () => number;
  afterKill?: () => Promise<void>;
}

/**
 * Runs the program until it is done, and kills it so many times before; answers how often it was killed, and how
 * many bytes lay in the system's buffers then: a fast server fills them, and they are no loss on a real link.
 */
async function killed(
  bench: Workbench,
  args: readonly string[],
  { wire, direction, next, afterKill }: Attack,
): Promise<{ times: number; unread: number }> {
  let times = 0;
  let unread = 0;
  for (;;) {
    const env = { ...process.env, XDG_CACHE_HOME: bench.cache.at, OCIBUNDLE_PROGRESS: "none" };
    const child = Bun.spawn([...program(), ...args], {
      cwd: bench.directory,
      env,
      stdout: "ignore",
      stderr: "pipe",
    });
    const stderr = new Response(child.stderr).text();
    if (times < kills) {
      const moment = wire.bytes(direction) + (next() * 1.6 * size) / (kills + 1);
      await Promise.race([wire.arrived(direction, moment), child.exited]);
      await Bun.sleep(next() * longestPause);
      child.kill("SIGSTOP");
      if (direction === "down") unread += await unreadFrom(wire.port);
      child.kill("SIGKILL");
    }
    const code = await child.exited;
    if (code === 0) return { times, unread };
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
