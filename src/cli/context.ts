import type { EmitEvent } from "../transfer/events.ts";

/** What a command is given besides its own arguments; nothing else of the process is touched below `main`. */
export interface CommandContext {
  /**
   * Writes to standard output: reports only (`printReport`). Bytes are written as they are. A failure to write ends
   * the run once the command is done.
   */
  stdout(text: string | Uint8Array): void;
  /** Writes to standard error, above the progress that is being drawn; secrets are struck out. */
  stderr(text: string): void;
  /** Opens standard input. Only what was asked to read it calls this: what is left unread is the caller's. */
  stdin(): ReadableStream<Uint8Array>;
  /** Makes another program's exit code that of the run, unless the run fails itself. */
  endWith(code: number): void;
  env: Readonly<Record<string, string | undefined>>;
  /** The working directory, absolute. */
  cwd: string;
  /**
   * Aborted by SIGINT, SIGTERM and SIGHUP, with an OcibundleError (`interrupted`, `terminated`, `hangup`) as its
   * reason.
   */
  signal: AbortSignal;
  /** Where the engine's events go; drawn as `--progress` says. */
  emit: EmitEvent;
  flags: SharedFlags;
  /** How wide the terminal is that results are shown on; undefined where they go elsewhere, and are not cut. */
  columns?: number | undefined;
}

/** The flags every command takes, their `OCIBUNDLE_…` variables already looked at. */
export interface SharedFlags {
  quiet: boolean;
  verbose: boolean;
  json: boolean;
  progress: "auto" | "bar" | "plain" | "json" | "none";
  /** Connections and other things at once. Undefined: each place's own default. */
  concurrency: number | undefined;
  plainHttp: boolean;
  insecure: boolean;
  caFile: string | undefined;
  certFile: string | undefined;
  keyFile: string | undefined;
  config: string | undefined;
}
