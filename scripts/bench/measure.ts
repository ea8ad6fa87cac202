import { readFileSync } from "node:fs";
import { peakMemory } from "../peak-memory.ts";

/** What one run of a program took. */
export interface Measurement {
  seconds: number;
  /** User and system time of the process and its children. */
  cpuSeconds: number;
  /** Peak resident memory in bytes; undefined where there is no /proc. */
  peakBytes: number | undefined;
}

export interface Contestant {
  name: string;
  /** The command line, or what makes it ready before each run, which is not measured. */
  command: readonly string[] | (() => Promise<readonly string[]>);
  /** In addition to this process's own. */
  env?: Record<string, string>;
  cwd?: string;
  /** Whether its time ends when all that was written is on the disk, and not before. */
  untilSynced?: boolean;
  /** Done after each run and not measured; throws when the run did not do what it was to do. */
  check?: (stdout: string) => Promise<void>;
}

/** How often the peak is looked at, in milliseconds. It only grows, so little is missed. */
const sampleInterval = 20;

/** Runs a program to its end. Throws with what it said unless it exits with 0. */
export async function measure(contestant: Contestant): Promise<Measurement> {
  const { command } = contestant;
  const line = typeof command === "function" ? await command() : command;
  // What an earlier run left to be written to disk is not to be this one's to wait for.
  await Bun.spawn(["sync"]).exited;
  const began = performance.now();
  const child = Bun.spawn([...line], {
    cwd: contestant.cwd ?? process.cwd(),
    env: { ...process.env, ...contestant.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  // Not getrusage's maxrss: a child inherits the peak of the process that started it.
  let peakBytes: number | undefined;
  const timer = setInterval(() => {
    peakBytes = peakMemory(child.pid) ?? peakBytes;
  }, sampleInterval);
  const output = Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const exitCode = await child.exited;
  if (contestant.untilSynced === true) await Bun.spawn(["sync"]).exited;
  const seconds = (performance.now() - began) / 1000;
  clearInterval(timer);
  const [stdout, stderr] = await output;
  if (exitCode !== 0) {
    throw new Error(`${line.join(" ")} exited with ${exitCode}\n${stdout}${stderr}`);
  }
  await contestant.check?.(stdout);
  const cpuMicroseconds = child.resourceUsage()?.cpuTime.total ?? 0n;
  return { seconds, cpuSeconds: Number(cpuMicroseconds) / 1e6, peakBytes };
}

/** The kernel counts time in hundredths of a second for programs, whatever it uses itself. */
const ticksPerSecond = 100;

/**
 * User and system time of a process that runs, from its start, in seconds; undefined where there is no
 * /proc (proc_pid_stat(5), fields 14 and 15).
 */
export function processorSeconds(pid: number): number | undefined {
  try {
    // The second field is a name in parentheses, which may have anything in it.
    const after = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1) ?? "";
    const fields = after.split(" ");
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  } catch {
    return undefined;
  }
}

/** All runs of one contestant, and the middle of each figure. */
export interface Result {
  benchmark: string;
  contestant: string;
  /** How many bytes a run handled; 0 where that says nothing. */
  bytes: number;
  runs: Measurement[];
  median: Measurement;
}

/** Lets the contestants run in turn, `runs` times each, so that a busy minute hits all of them. */
export async function compete(
  benchmark: string,
  bytes: number,
  contestants: readonly Contestant[],
  runs: number,
): Promise<Result[]> {
  const measured = contestants.map((contestant) => ({ contestant, runs: [] as Measurement[] }));
  for (let round = 0; round < runs; round++) {
    for (const entry of measured) entry.runs.push(await measure(entry.contestant));
  }
  return measured.map(({ contestant, runs: all }) => ({
    benchmark,
    contestant: contestant.name,
    bytes,
    runs: all,
    median: {
      seconds: median(all.map((run) => run.seconds)),
      cpuSeconds: median(all.map((run) => run.cpuSeconds)),
      peakBytes: median(all.map((run) => run.peakBytes ?? 0)) || undefined,
    },
  }));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = 0, high = low] = sorted.slice(sorted.length % 2 === 0 ? middle - 1 : middle);
  return sorted.length % 2 === 0 ? (low + high) / 2 : low;
}
