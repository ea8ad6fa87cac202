import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { peakMemory } from "../../../scripts/peak-memory.ts";
import { program } from "../../../scripts/program.ts";

/** Directories of one test, and the program run with them and nothing else of this machine. */
export interface Bench {
  directory: string;
  cache: string;
  path(...parts: string[]): string;
  start(args: readonly string[], env?: Record<string, string>): Running;
  run(args: readonly string[], env?: Record<string, string>): Promise<Ended>;
  /** The same as another user, which only root can ask for. */
  runAs(uid: number, args: readonly string[]): Promise<Ended>;
  /** The same below another program, such as strace. */
  runUnder(command: readonly string[], args: readonly string[]): Promise<Ended>;
  [Symbol.dispose](): void;
}

export interface Running {
  pid: number;
  kill(signal: NodeJS.Signals): void;
  ended: Promise<Ended>;
}

export interface Ended {
  code: number | null;
  signal: string | number | null;
  stdout: string;
  stderr: string;
  /** From its start. */
  milliseconds: number;
  /** The most memory it was seen to have, in bytes; 0 where the system does not tell. */
  peakMemory: number;
}

/** A program that runs longer hangs. In milliseconds. */
const longest = 60_000;

/** How often its memory is looked at, in milliseconds. */
const lookInterval = 10;

/** `parent`: the directory that the bench is made in. */
export function openBench(name: string, parent = tmpdir()): Bench {
  const directory = realpathSync(mkdtempSync(join(parent, `ocibundle-${name}-`)));
  const cache = join(directory, "cache");
  const start: Bench["start"] = (args, env) => spawn([...program(), ...args], env);
  const spawn = (command: string[], env: Record<string, string> = {}): Running => {
    const began = performance.now();
    const child = Bun.spawn(command, {
      cwd: directory,
      env: {
        PATH: process.env["PATH"] ?? "",
        // From source, the runtime would keep what it transpiles below HOME.
        BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0",
        HOME: directory,
        OCIBUNDLE_CACHE: cache,
        DOCKER_CONFIG: join(directory, "docker"),
        TMPDIR: tmpdir(),
        ...env,
      },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: longest,
      killSignal: "SIGKILL",
    });
    // Not getrusage's maxrss: a child inherits the peak of the process that started it.
    let peak = 0;
    const look = setInterval(() => {
      peak = Math.max(peak, peakMemory(child.pid) ?? 0);
    }, lookInterval);
    const outputs = Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    return {
      pid: child.pid,
      kill: (signal) => child.kill(signal),
      ended: child.exited.then(async () => {
        const milliseconds = performance.now() - began;
        const [stdout, stderr] = await outputs;
        clearInterval(look);
        const { exitCode: code, signalCode: signal } = child;
        return { code, signal, stdout, stderr, milliseconds, peakMemory: peak };
      }),
    };
  };
  return {
    directory,
    cache,
    path: (...parts) => join(directory, ...parts),
    start,
    run: (args, env) => start(args, env).ended,
    runAs: (uid, args) => {
      const user = [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
      return spawn(["setpriv", ...user, "--", ...program(), ...args]).ended;
    },
    runUnder: (command, args) => spawn([...command, ...program(), ...args]).ended,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Every file below a directory, relative to it, sorted; none where there is no directory. */
export function filesBelow(directory: string): string[] {
  let names: string[];
  try {
    names = readdirSync(directory, { recursive: true, encoding: "utf8" });
  } catch {
    return [];
  }
  return names
    .filter((name) => !statSync(join(directory, name)).isDirectory())
    .map((name) => relative(directory, join(directory, name)))
    .toSorted();
}

export const sameBytes = (path: string, bytes: Uint8Array): boolean =>
  readFileSync(path).equals(bytes);

/** Numbers from 0 up to 1 that are the same in each run: mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Bytes that no compressor makes smaller, the same for the same seed. */
export function randomBytes(length: number, seed: number): Uint8Array {
  const next = seeded(seed);
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let at = 0; at < words.length; at += 1) words[at] = next() * 2 ** 32;
  return new Uint8Array(words.buffer, 0, length);
}

/** Bytes of which a compressor makes about half, so that decompressing goes on for a while. */
export function compressibleBytes(length: number, seed: number): Uint8Array {
  const bytes = randomBytes(length, seed);
  for (let at = 0; at < length; at += 1) bytes[at] = (bytes[at] ?? 0) & 0x0f;
  return bytes;
}
