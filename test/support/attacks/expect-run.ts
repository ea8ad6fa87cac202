import { expect } from "bun:test";
import { join } from "node:path";
import type { Model } from "./model-server.ts";
import { type Bench, type Ended, sameBytes } from "./program-run.ts";

/** Runs the program, which must succeed; its standard output. */
export async function expectRun(bench: Bench, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await bench.run(args);
  expect({ args, code, stderr: code === 0 ? "" : stderr }).toEqual({ args, code: 0, stderr: "" });
  return stdout;
}

export function expectSuccess({ code, stderr }: Ended): void {
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
}

/** Whether a directory has the files of a model, byte for byte. */
export const hasWeights = (directory: string, { weights }: Pick<Model, "weights">): boolean =>
  weights.every(({ dest, bytes }) => sameBytes(join(directory, dest), bytes));
