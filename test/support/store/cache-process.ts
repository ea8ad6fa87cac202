import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const script = join(import.meta.dir, "cache-child.ts");

export interface CacheChild {
  process: ChildProcess;
  /** Resolves when the child has printed this. */
  printed(text: string): Promise<void>;
  /** What it printed, once it has ended. Rejects when it did not end well. */
  result(): Promise<string>;
  /** Resolves when it has ended, however. */
  ended: Promise<unknown>;
}

/** Runs cache-child.ts, `under` a program if need be. */
export function startChild(
  args: readonly string[],
  { under = [], ...options }: { uid?: number; under?: readonly string[] } = {},
): CacheChild {
  const [program = "", ...rest] = [...under, process.execPath, script, ...args];
  const child = spawn(program, rest, { stdio: ["pipe", "pipe", "pipe"], ...options });
  let output = "";
  let errors = "";
  child.stderr.on("data", (data) => (errors += String(data)));
  child.stdout.on("data", (data) => {
    output += String(data);
    child.emit("printed");
  });
  let isOver = false;
  const ended = once(child, "close").then(() => (isOver = true));
  return {
    process: child,
    ended,
    async printed(text) {
      while (!output.includes(text)) {
        if (isOver) throw new Error(`ended without "${text}": ${errors}`);
        await Promise.race([once(child, "printed"), ended]);
      }
    },
    async result() {
      await ended;
      if (child.exitCode !== 0) throw new Error(`exit ${child.exitCode}: ${errors}`);
      return output;
    },
  };
}
