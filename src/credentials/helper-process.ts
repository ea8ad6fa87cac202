import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout, clearTimeout } from "node:timers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Environment } from "./credential.ts";

/** What a helper says is read up to this, in bytes. */
const maxOutputBytes = 1024 * 1024;

/** A helper may ask a person to unlock something, so it has this long, in milliseconds. */
const defaultTimeout = 60_000;

/** What is told to end has this long before it is killed, in milliseconds: less than an interrupted run has. */
const killAfter = 400;

/** How long the output of a helper that has ended may stay open, in milliseconds: a child may hold it. */
const closeWithin = 500;

/** What a helper runs with. */
export interface ProcessOptions {
  /** Its whole environment: nothing of this process is added. */
  env: Environment;
  signal?: AbortSignal | undefined;
  /** In milliseconds; {@link defaultTimeout} unless given. */
  timeout?: number | undefined;
}

/** How a credential helper ended, and what it printed. */
export interface ProcessEnd {
  /** Undefined for one that a signal ended. */
  code: number | undefined;
  output: string;
  /** Why it was ended before its own end. */
  ended?: "timeout" | "too long" | undefined;
}

/**
 * Runs a program with a word as its argument, hands it `input`, and resolves to what it wrote to standard
 * output. Bounded in time and bytes: a program that hangs, that never stops writing or whose child keeps its
 * output open is ended with every process of its group, first by SIGTERM, then by SIGKILL. Rejects with the
 * errno error of a program that can't be started, or with the signal's reason.
 */
export async function runHelper(
  program: string,
  word: string,
  input: string,
  { env, signal, timeout = defaultTimeout }: ProcessOptions,
): Promise<ProcessEnd> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<ProcessEnd>();
  const child = spawn(program, [word], {
    env: { ...env },
    stdio: ["pipe", "pipe", "ignore"],
    // A group of its own: what it starts can be ended with it.
    detached: process.platform !== "win32",
  });
  const chunks: Buffer[] = [];
  let size = 0;
  let stopped = false;
  let code: number | undefined;
  const output = (): string => Buffer.concat(chunks).toString("utf8").trim();
  const finish = (ended?: ProcessEnd["ended"]): void => resolve({ code, output: output(), ended });
  /** Ends all of it, then settles. */
  const stop = (then: () => void): void => {
    if (stopped) return;
    stopped = true;
    void (async () => {
      await endGroup(child);
      child.stdout.destroy();
      then();
    })();
  };
  const aborted = (): void => stop(() => reject(signal?.reason));
  const timer = setTimeout(() => stop(() => finish("timeout")), timeout);
  let closing: ReturnType<typeof setTimeout> | undefined;
  signal?.addEventListener("abort", aborted, { once: true });
  child.stdout.on("data", (chunk: Buffer) => {
    size += chunk.byteLength;
    if (size <= maxOutputBytes) chunks.push(chunk);
    else stop(() => finish("too long"));
  });
  child.stdout.on("error", () => undefined);
  // A helper that ends without reading closes the pipe; its exit code says what happened.
  child.stdin.on("error", () => undefined);
  child.once("error", reject);
  child.once("exit", (exitCode) => {
    code = exitCode ?? undefined;
    closing = setTimeout(() => stop(finish), closeWithin);
  });
  child.once("close", () => {
    if (!stopped) finish();
  });
  child.stdin.end(input);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    clearTimeout(closing);
    signal?.removeEventListener("abort", aborted);
  }
}

/** Ends a process with all of its group; those that do not listen a moment later are killed. */
async function endGroup(child: ChildProcess): Promise<void> {
  const deadline = performance.now() + killAfter;
  for (let signal: NodeJS.Signals | 0 = "SIGTERM"; send(child, signal); signal = 0) {
    if (performance.now() >= deadline) {
      send(child, "SIGKILL");
      return;
    }
    await sleep(20);
  }
}

/** Sends a signal to the group of a process; whether anybody of it is left. */
function send(child: ChildProcess, signal: NodeJS.Signals | 0): boolean {
  if (child.pid === undefined) return false;
  try {
    if (process.platform === "win32") return child.kill(signal);
    return process.kill(-child.pid, signal);
  } catch {
    return false;
  }
}
