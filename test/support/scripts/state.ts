import type { Subprocess } from "bun";

/** What a command of a script sees and changes. */
export interface ScriptState {
  cwd: string;
  env: Record<string, string>;
  program: readonly string[];
  /** A file for the next program's standard input. */
  stdin: string | undefined;
  /** Of the program that ran last. */
  last: { code: number; stdout: Uint8Array; stderr: Uint8Array } | undefined;
  background: BackgroundProcess[];
  /** Directories in which a registry was started. */
  registries: Set<string>;
  /** Hubs that were started, in this process. */
  hubs: { close(): Promise<void> }[];
  log: string[];
}

export interface BackgroundProcess {
  /** As given by `&name&`. */
  name: string | undefined;
  process: Subprocess<"ignore" | Blob, "pipe", "pipe">;
  stdout: Promise<Uint8Array>;
  stderr: Promise<Uint8Array>;
  expects: Expectation;
}

export type Expectation = "success" | "failure" | "either";

export interface CommandCall {
  args: string[];
  expects: Expectation;
  state: ScriptState;
}

export type ScriptCommand = (call: CommandCall) => Promise<void> | void;

/** Ends a script as skipped; the message says why. */
export class SkipScript extends Error {}
/** Ends a script as passed. */
export class StopScript extends Error {}
