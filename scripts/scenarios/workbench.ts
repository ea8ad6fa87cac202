import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { program } from "../program.ts";

/** Directories, a registry, and the program run with them, for versions of one model. */
export interface Workbench {
  directory: string;
  /** Where the model's files are. */
  weights: string;
  /** `127.0.0.1:41011` */
  host: string;
  /** Where the program keeps its cache; may be changed. */
  cache: { at: string };
  /** Runs the program; answers its output. Throws with its messages where it fails. */
  run(...args: string[]): Promise<string>;
  /** Locks and pushes the model's files in parts; answers what was sent and what the storage grew by, in bytes. */
  push(tag: string, lockFlags?: readonly string[]): Promise<{ sent: number; grown: number }>;
  /** Pulls over what earlier pulls left in the cache; answers the bytes fetched. The files must be what was pushed. */
  pull(tag: string): Promise<number>;
  /** The bytes of all files in the registry's storage. */
  stored(): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Pushed {
  sent: { bytes: number };
}

interface Pulled {
  files: { path: string; size: number }[];
  reused?: number;
}

/** Starts a registry, and makes directories that go with it; `flags` are those of `registry-start`. */
export async function openWorkbench(flags: readonly string[] = []): Promise<Workbench> {
  const directory = await mkdtemp(join(tmpdir(), "ocibundle-parts-"));
  const storage = join(directory, "storage");
  const weights = join(directory, "weights");
  await mkdir(storage);
  await mkdir(weights);
  const cache = { at: join(directory, "cache") };
  const run: Workbench["run"] = async (...args) => {
    const env = { ...process.env, XDG_CACHE_HOME: cache.at, OCIBUNDLE_PROGRESS: "none" };
    const child = Bun.spawn([...program(), ...args], { cwd: directory, env, stderr: "pipe" });
    const output = [child.stdout, child.stderr].map((stream) => new Response(stream).text());
    const [stdout = "", stderr = ""] = await Promise.all(output);
    if ((await child.exited) !== 0) throw new Error(`${args.join(" ")}: ${stdout}${stderr}`);
    return stdout;
  };
  const stored: Workbench["stored"] = async () => {
    let bytes = 0;
    for (const entry of await readdir(storage, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
    }
    return bytes;
  };
  const started = JSON.parse(
    await run("registry-start", "--storage", storage, "--json", ...flags),
  ) as { registry: string };
  const host = started.registry;
  return {
    directory,
    weights,
    host,
    cache,
    run,
    stored,
    async push(tag, lockFlags = []) {
      const before = await stored();
      await run("lock", "weights", "--parts", ...lockFlags);
      const name = `${host}/acme/l:${tag}`;
      const pushed = await run("push", name, "--parts", "--weights", "weights", "--json");
      const { sent } = JSON.parse(pushed) as Pushed;
      return { sent: sent.bytes, grown: (await stored()) - before };
    },
    async pull(tag) {
      const out = join(directory, `out-${tag}`);
      const text = await run("pull", `${host}/acme/l:${tag}`, out, "--json");
      const { files, reused = 0 } = JSON.parse(text) as Pulled;
      for (const { path } of files) {
        const name = path.split("/").at(-1) ?? "";
        const same = (await sha256(path)) === (await sha256(join(weights, name)));
        if (!same) throw new Error(`${path} is not what was pushed`);
      }
      await rm(out, { recursive: true });
      return files.reduce((sum, { size }) => sum + size, 0) - reused;
    },
    async [Symbol.asyncDispose]() {
      await run("registry-stop").catch((error: unknown) => console.error(error));
      await rm(directory, { recursive: true });
    },
  };
}

export async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}

let failures = 0;

/** As `1.2345 %`. */
export const percent = (share: number): string => `${(share * 100).toFixed(4)} %`;

/** Prints a figure with its bound; `expectNoFailures` knows of one that misses it. */
export function expectAtMost(what: string, found: number, most: number): void {
  const isRight = found <= most;
  if (!isRight) failures += 1;
  console.log(`${isRight ? "ok  " : "FAIL"} ${what}: ${percent(found)} (at most ${percent(most)})`);
}

/** Prints a share that must be as expected to a hundredth of a point. */
export function expectAbout(what: string, found: number, expected: number): void {
  const isRight = Math.abs(found - expected) <= 0.0001;
  if (!isRight) failures += 1;
  console.log(
    `${isRight ? "ok  " : "FAIL"} ${what}: ${percent(found)} (about ${percent(expected)})`,
  );
}

/** Prints whether something holds. */
export function expectThat(what: string, holds: boolean): void {
  if (!holds) failures += 1;
  console.log(`${holds ? "ok  " : "FAIL"} ${what}`);
}

/** Throws where an expectation failed. */
export function expectNoFailures(): void {
  if (failures > 0) throw new Error(`${failures} scenarios failed`);
}

/** Pseudo-random numbers below 1, from a seed. */
export function random(seed: number): () => number {
  let state = seed + 0x9e3779b9;
  return () => {
    state = Math.imul(state ^ (state >>> 15), state | 1);
    state ^= state + Math.imul(state ^ (state >>> 7), state | 61);
    return ((state ^ (state >>> 14)) >>> 0) / 2 ** 32;
  };
}
