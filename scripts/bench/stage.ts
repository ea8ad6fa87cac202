import { mkdir, mkdtemp, readdir, rename, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { program } from "../program.ts";
import { type Service, startService } from "../service.ts";
import { type Contestant, type Measurement, measure } from "./measure.ts";

/** What the benchmarks share: a directory, the size of the large file, the programs there are. */
export interface Stage {
  directory: string;
  /** Of a large weight file, in bytes. */
  size: number;
  /** Runs of each contestant. */
  runs: number;
  /** A contestant that runs ocibundle, with a cache of its own. */
  ours(
    args: readonly string[] | (() => Promise<readonly string[]>),
    more?: Partial<Contestant>,
  ): Contestant;
  /** Runs ocibundle for what a benchmark needs and does not measure. */
  run(args: readonly string[], cwd: string): Promise<Measurement>;
  /**
   * A directory with `count` random weight files of `bytes` each below `weights/` and their lock, made once
   * a size. Resolves to its path.
   */
  weights(count: number, bytes: number): Promise<string>;
  /** Starts something that ends with the stage. */
  start<T extends { stop(): Promise<void> }>(service: Promise<T>): Promise<T>;
  /**
   * Takes away a directory that there may be and all that is in it, so that nothing is there and the disk has its room.
   * Its files keep their numbers until the stage closes: for minutes after it has lost a file, ext4 without a journal
   * looks past that one whenever it makes another, so that a program would pay for the files of the run before.
   */
  clear(directory: string): Promise<void>;
  /** Has something done before the directory is removed. */
  atEnd(task: () => Promise<void>): void;
  close(): Promise<void>;
}

/** `below`: the directory that the stage's own is made in; the system's for temporary files unless given. */
export async function openStage(size: number, runs: number, below = tmpdir()): Promise<Stage> {
  const directory = await mkdtemp(join(below, "ocibundle-bench-"));
  const env = { XDG_CACHE_HOME: join(directory, "cache"), OCIBUNDLE_PROGRESS: "none" };
  const tasks: (() => Promise<void>)[] = [];
  const made = new Map<string, Promise<string>>();

  const ours: Stage["ours"] = (args, more = {}) => ({
    name: "ocibundle",
    command:
      typeof args === "function"
        ? async () => [...program(), ...(await args())]
        : [...program(), ...args],
    ...more,
    env: { ...env, ...more.env },
  });
  const run: Stage["run"] = (args, cwd) => measure(ours(args, { cwd }));

  const clear: Stage["clear"] = async (gone) => {
    const entries = await readdir(gone, { recursive: true, withFileTypes: true }).catch(() => []);
    if (entries.length === 0) return;
    for (const entry of entries) {
      if (entry.isFile()) await truncate(join(entry.parentPath, entry.name));
    }
    const cleared = join(directory, "cleared");
    await mkdir(cleared, { recursive: true });
    await rename(gone, join(cleared, crypto.randomUUID()));
  };

  const makeWeights = async (count: number, bytes: number): Promise<string> => {
    const cwd = join(directory, `${count}x${bytes}`);
    await mkdir(cwd);
    const sizes = ["--min-size", String(bytes), "--max-size", String(bytes)];
    await run(["mock-weights", "--count", String(count), ...sizes, "--seed", "1"], cwd);
    return cwd;
  };

  return {
    directory,
    size,
    runs,
    ours,
    run,
    clear,
    weights: (count, bytes) => {
      const key = `${count}x${bytes}`;
      const known = made.get(key) ?? makeWeights(count, bytes);
      made.set(key, known);
      return known;
    },
    start: async (starting) => {
      const service = await starting;
      tasks.push(() => service.stop());
      return service;
    },
    atEnd: (task) => {
      tasks.push(task);
    },
    close: async () => {
      for (const task of tasks.toReversed()) await task();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The sink, as a registry with an address. */
export async function startSink(): Promise<Service & { address: string }> {
  const service = await startService({
    command: [process.execPath, join(import.meta.dir, "sink.ts")],
    ready: /listening on (\S+)/,
  });
  return { ...service, address: service.ready[1] ?? "" };
}

/**
 * A link to a server on this machine, in a process of its own: limited to `rate` bytes a second each way, for each
 * connection or for all together.
 */
export async function startLink(
  server: string,
  of: "connection" | "all",
  rate: number,
): Promise<Service & { address: string }> {
  const port = server.slice(server.lastIndexOf(":") + 1);
  const service = await startService({
    command: [process.execPath, join(import.meta.dir, "link.ts"), port, of, String(rate)],
    ready: /listening on (\S+)/,
  });
  return { ...service, address: service.ready[1] ?? "" };
}

/** Whether a peer is on the PATH; what is not there takes no part. */
export function present(name: string): boolean {
  return Bun.which(name) !== null;
}

/** Paths of the weight files of a directory that `weights` made, in order. */
export async function weightFiles(cwd: string): Promise<string[]> {
  const names = await readdir(join(cwd, "weights"));
  return names.toSorted().map((name) => join(cwd, "weights", name));
}
