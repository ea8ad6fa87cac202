import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseWeightsLock } from "../../../src/model/format/weights-lock.ts";
import type { LockRequest } from "../../../src/model/lock/lock.ts";

/** A request to lock `weights/`, with nothing else asked for. */
export const lockRequest = (more: Partial<LockRequest> = {}): LockRequest => ({
  paths: ["weights"],
  dest: undefined,
  output: undefined,
  compression: undefined,
  ...more,
});

/** What `weights.lock` in a directory says. */
export const readLock = (directory: string) =>
  parseWeightsLock(readFileSync(join(directory, "weights.lock")), "weights.lock");
