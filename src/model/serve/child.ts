import { spawn } from "node:child_process";
import { constants } from "node:os";
import { errno, OcibundleError } from "../../errors.ts";

/** A program that runs with this one's streams. */
export interface ChildOptions {
  /** The program and its arguments; no shell reads them. */
  command: readonly [string, ...string[]];
  /** Its whole environment: nothing of this process is added. */
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  /** When aborted the program is asked to end, as this one was; its own end decides. */
  signal: AbortSignal;
}

/** What a program is given so that its models come from a server: clients read it when they start. */
export function hubEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  endpoint: string,
  token: string | undefined,
): Record<string, string | undefined> {
  const loopback = "127.0.0.1,localhost,::1";
  const direct = (name: string): string => {
    const before = env[name] ?? "";
    return before === "" ? loopback : `${before},${loopback}`;
  };
  return {
    ...env,
    HF_ENDPOINT: endpoint,
    MODEL_ENDPOINT: `${endpoint}/`,
    HF_HUB_DISABLE_XET: "1",
    NO_PROXY: direct("NO_PROXY"),
    no_proxy: direct("no_proxy"),
    ...(token === undefined ? {} : { HF_TOKEN: token }),
  };
}

/** Runs a program with this one's streams, and resolves to its exit code. Throws `usage` where it can't be run. */
export function runChild({ command, env, cwd, signal }: ChildOptions): Promise<number> {
  const [name, ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, { cwd, env: { ...env }, stdio: "inherit" });
    const stop = (): void => {
      const reason: unknown = signal.reason;
      const code = reason instanceof OcibundleError ? reason.code : undefined;
      child.kill(code === "interrupted" ? "SIGINT" : code === "hangup" ? "SIGHUP" : "SIGTERM");
    };
    signal.addEventListener("abort", stop, { once: true });
    child.once("error", (cause) => {
      signal.removeEventListener("abort", stop);
      const why = errno(cause) === "ENOENT" ? "is not installed" : "cannot be run";
      const hint =
        "check the name of the program and PATH; models are specified with --map or --registry";
      reject(new OcibundleError("usage", `"${name}" ${why}`, { hint, cause }));
    });
    child.once("exit", (code, ended) => {
      signal.removeEventListener("abort", stop);
      // As a shell says it.
      resolve(code ?? 128 + (ended === null ? 0 : constants.signals[ended]));
    });
    if (signal.aborted) stop();
  });
}
