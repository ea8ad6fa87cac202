import { expect } from "bun:test";
import { type AttackJob, type AttackRun, treeOf } from "./attack-jobs.ts";
import { type Bench, openBench } from "./program-run.ts";
import { countCalls } from "./system-calls.ts";

export interface Baseline {
  calls: { name: string; count: number }[];
  /** What is on the disk after a run that nothing disturbed. */
  tree: string[];
}

/** Removes the parts of blobs that the next pull of them would go on with, and what ended runs left. */
const prune = ["cache", "prune", "--max-size", "0b"];

async function expectSuccess(bench: Bench, args: readonly string[], after: string): Promise<void> {
  const { code, stderr } = await bench.run(args);
  const got = { after, args, code, stderr: code === 0 ? "" : stderr };
  expect(got).toEqual({ after, args, code: 0, stderr: "" });
}

/** Runs a job undisturbed, and counts the calls that it could be attacked at. */
export async function baselineOf(job: AttackJob, names: readonly string[]): Promise<Baseline> {
  using bench = openBench("attack");
  await using run = await job.prepare(bench);
  const { calls, ended } = await countCalls(bench, names, run.args);
  expect(ended.code).toBe(0);
  await run.expectDone();
  await expectSuccess(bench, prune, "an undisturbed run");
  return { calls, tree: treeOf(bench) };
}

/** One of the calls of a job, and which of them. */
export function chooseCall({ calls }: Baseline, next: () => number): { name: string; at: number } {
  const call = calls[Math.floor(next() * calls.length)];
  if (call === undefined) throw new Error("the job makes none of the calls");
  return { name: call.name, at: 1 + Math.floor(next() * call.count) };
}

/** What must hold after any attack: nothing wrong; the next run ends right and leaves nothing else behind. */
export async function expectRecovery(
  bench: Bench,
  run: AttackRun,
  { tree }: Baseline,
  after: string,
): Promise<void> {
  await run.expectNothingWrong();
  await expectSuccess(bench, run.args, after);
  await run.expectDone();
  await expectSuccess(bench, prune, after);
  expect({ after, tree: treeOf(bench) }).toEqual({ after, tree });
}
