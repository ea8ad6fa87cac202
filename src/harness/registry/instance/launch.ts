import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { type ErrorCode, exitCodes, OcibundleError } from "../../../errors.ts";
import { runtime } from "../../../runtime/current.ts";
import { privateMode, replaceFile } from "../../../runtime/own-file.ts";
import type { InstanceRecord, RecordPlace } from "./record.ts";

/** Names the instance to a background process, which so knows that it is one. */
export const instanceVariable = "OCIBUNDLE_REGISTRY_INSTANCE";

/** Hands `--auth` to a background process: its arguments can be read by everybody, its environment by nobody else. */
export const authVariable = "OCIBUNDLE_REGISTRY_AUTH";

/** How the registry in the background is started. */
export interface LaunchOptions {
  /** `USER:PASS`, handed over in the environment: arguments can be read by everybody. */
  auth: string | undefined;
  /** What follows `registry-start --foreground`. */
  args: readonly string[];
  /** Whether the storage is one of its own making. */
  temporary: boolean;
  /** The name of the way it is to serve. */
  serving: string;
  cwd: string;
  env: Readonly<Record<string, string | undefined>>;
  /** Where its log is written; its record and lock are beside it. */
  place: RecordPlace;
  /** Aborts the wait for its start, and ends the process then. */
  signal: AbortSignal;
}

/** How long a start may take, in milliseconds: opening a storage reads the directories of its repositories. */
const patience = 60_000;

/**
 * Starts this program again in the background as a registry, and waits until that listens.
 * It outlives this process and has none of its streams. Throws what the other process failed with.
 */
export async function launchRegistry(options: LaunchOptions): Promise<InstanceRecord> {
  const { args, auth, temporary, serving, cwd, env, place, signal } = options;
  const fixed = { version: 1, instance: crypto.randomUUID(), temporary, serving } as const;
  const [program, ...before] = runtime.selfCommand();
  const log = await replaceFile(place.logPath, privateMode);
  try {
    const child = spawn(
      program,
      [...before, "registry-start", "--foreground", "--json", "--progress", "json", ...args],
      {
        cwd,
        env: {
          ...env,
          [instanceVariable]: fixed.instance,
          ...(auth === undefined ? {} : { [authVariable]: auth }),
        },
        detached: true,
        stdio: ["ignore", "pipe", log.fd],
        windowsHide: true,
      },
    );
    const { promise, resolve, reject } = Promise.withResolvers<InstanceRecord>();
    child.once("error", reject);
    child.once("exit", () => void failure(place.logPath).then(reject));
    // It writes one document, once it listens, and after that nothing any more.
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      const parsed = v.safeParse(ListeningSchema, output);
      if (parsed.success) resolve({ ...parsed.output, ...fixed });
    });
    const stop = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
    const onStop = (): void => reject(stop.reason);
    stop.addEventListener("abort", onStop, { once: true });
    if (stop.aborted) onStop();
    try {
      return await promise;
    } catch (error) {
      child.kill();
      throw signal.aborted || error instanceof OcibundleError
        ? error
        : new OcibundleError("bug", "cannot start the registry process", { cause: error });
    } finally {
      stop.removeEventListener("abort", onStop);
      child.stdout?.destroy();
      child.unref();
    }
  } finally {
    await log.close();
  }
}

/** What `registry-start --json` writes. */
const ListeningSchema = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({
    registry: v.pipe(v.string(), v.regex(/^127\.0\.0\.1:\d+$/)),
    pid: v.number(),
    storage: v.string(),
    ca: v.optional(v.string()),
  }),
  v.transform(({ registry, ...rest }) => ({ port: Number(registry.split(":")[1]), ...rest })),
);

const FailureSchema = v.object({
  type: v.literal("error"),
  code: v.custom<ErrorCode>((code) => typeof code === "string" && Object.hasOwn(exitCodes, code)),
  message: v.string(),
  hint: v.nullish(v.string()),
});

/** What the background process wrote about its end. */
async function failure(logPath: string): Promise<OcibundleError> {
  const log = await readFile(logPath, "utf8").catch(() => "");
  const last = log.trimEnd().split("\n").at(-1) ?? "";
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), FailureSchema), last);
  if (!parsed.success) {
    return new OcibundleError("bug", "the registry process exited during startup", {
      hint: last === "" ? undefined : last,
    });
  }
  const { code, message, hint } = parsed.output;
  return new OcibundleError(code, message, { hint: hint ?? undefined });
}
