import { spawn } from "node:child_process";
import { open, readFile } from "node:fs/promises";
import * as v from "valibot";
import { type ErrorCode, exitCodes, OcibundleError } from "../../errors.ts";
import { runtime } from "../../runtime/current.ts";
import { type InstanceRecord, readInstance, type RecordPlace } from "./record.ts";

/** Names the instance to a background process, which so knows that it is one. */
export const instanceVariable = "OCIBUNDLE_REGISTRY_INSTANCE";

export interface LaunchOptions {
  /** After `registry-start --foreground`. */
  args: readonly string[];
  cwd: string;
  env: Readonly<Record<string, string | undefined>>;
  place: RecordPlace;
  signal: AbortSignal;
}

/** How long a start may take, in milliseconds: opening a storage reads the folders of its repositories. */
const patience = 60_000;

/**
 * Starts this program again in the background as a registry, and waits until that listens.
 * It outlives this process and has none of its streams. Throws what the other process failed with.
 */
export async function launchRegistry(options: LaunchOptions): Promise<InstanceRecord> {
  const { args, cwd, env, place, signal } = options;
  const instance = crypto.randomUUID();
  const [program, ...before] = runtime.selfCommand();
  const log = await open(place.logPath, "w", 0o600);
  try {
    const child = spawn(
      program,
      [...before, "registry-start", "--foreground", "--progress", "json", ...args],
      {
        cwd,
        env: { ...env, [instanceVariable]: instance },
        detached: true,
        stdio: ["ignore", "pipe", log.fd],
        windowsHide: true,
      },
    );
    const { promise, resolve, reject } = Promise.withResolvers<"listens" | "ended">();
    child.once("error", reject);
    child.once("exit", () => resolve("ended"));
    // It writes one line, once it listens, and after that nothing any more.
    child.stdout?.once("data", () => resolve("listens"));
    const stop = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
    const onStop = (): void => reject(stop.reason);
    stop.addEventListener("abort", onStop, { once: true });
    if (stop.aborted) onStop();
    try {
      if ((await promise) === "ended") throw await failure(place.logPath);
    } catch (error) {
      child.kill();
      throw signal.aborted || error instanceof OcibundleError
        ? error
        : new OcibundleError("bug", "the registry's process can't be started", { cause: error });
    } finally {
      stop.removeEventListener("abort", onStop);
      child.stdout?.destroy();
      child.unref();
    }
  } finally {
    await log.close();
  }
  const record = await readInstance(place);
  if (record?.instance === instance) return record;
  throw new OcibundleError("bug", "the registry ended as soon as it was started");
}

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
    return new OcibundleError("bug", "the registry ended before it listened", {
      hint: last === "" ? undefined : last,
    });
  }
  const { code, message, hint } = parsed.output;
  return new OcibundleError(code, message, { hint: hint ?? undefined });
}
