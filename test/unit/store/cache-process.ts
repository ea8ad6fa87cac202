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

/** Runs cache-child.ts. */
export function startChild(args: readonly string[], options: { uid?: number } = {}): CacheChild {
  const child = spawn(process.execPath, [script, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    ...options,
  });
  let output = "";
  let errors = "";
  child.stderr.on("data", (data) => (errors += String(data)));
  child.stdout.on("data", (data) => {
    output += String(data);
    child.emit("printed");
  });
  const ended = once(child, "close");
  return {
    process: child,
    ended,
    async printed(text) {
      while (!output.includes(text)) {
        await Promise.race([once(child, "printed"), ended]);
        if (child.exitCode !== null && !output.includes(text)) throw new Error(errors);
      }
    },
    async result() {
      await ended;
      if (child.exitCode !== 0) throw new Error(`exit ${child.exitCode}: ${errors}`);
      return output;
    },
  };
}
