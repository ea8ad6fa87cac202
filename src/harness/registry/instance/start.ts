import { resolve } from "node:path";
import { OcibundleError } from "../../../errors.ts";
import type { HeldLock } from "../../../store/locks/lock-file.ts";
import { lockFile } from "../../../store/locks/wait-for-lock.ts";
import { whereLockable } from "../../../store/locks/where-possible.ts";
import { type Serving, servingArgs, servingLayers } from "../serving.ts";
import { answers } from "./identity.ts";
import { authVariable, instanceVariable, launchRegistry } from "./launch.ts";
import {
  type InstanceRecord,
  readInstance,
  type RecordPlace,
  recordPlace,
  removeInstance,
  servingName,
} from "./record.ts";
import { removeTemporary, runRegistry } from "./run.ts";

/** What `registry-start` is asked for. */
export interface StartOptions {
  /** Undefined: any free one. */
  port: number | undefined;
  /** A directory, relative to the working directory. Undefined: a temporary one. */
  storage: string | undefined;
  /** In milliseconds; 0 for no end. Undefined: as `defaultIdleTimeout`, in the foreground none. */
  idleTimeout: number | undefined;
  /** Undefined: as the specification says, to anybody. */
  serving?: Serving | undefined;
}

/** What a registry is started in: one runs for each working directory. */
export interface StartContext {
  cwd: string;
  /** XDG_RUNTIME_DIR in it says where records are kept; a background process gets all of it. */
  env: Readonly<Record<string, string | undefined>>;
  signal: AbortSignal;
}

/** For a registry in the background, so that nothing is left behind: ten minutes. */
const defaultIdleTimeout = 10 * 60 * 1000;

/**
 * Starts a registry in the background for the working directory, or finds the one that runs for it.
 * Throws `conflict` when that one has another port or storage than is asked for, `usage` for ways of serving that
 * exclude one another.
 */
export async function startInBackground(
  options: StartOptions,
  context: StartContext,
): Promise<InstanceRecord> {
  const place = await recordPlace(context.cwd, context.env);
  const lock = await lockPlace(place, context.signal);
  try {
    const running = await runningInstance(place);
    if (running !== undefined) {
      requireSame(running, options, context.cwd);
      return running;
    }
    const { port, storage, idleTimeout = defaultIdleTimeout, serving = {} } = options;
    // Here, where the error is the command's own.
    servingLayers(serving);
    return await launchRegistry({
      ...context,
      place,
      temporary: storage === undefined,
      serving: servingName(serving),
      auth: serving.auth,
      args: [
        ...(port === undefined ? [] : ["--port", String(port)]),
        ...(storage === undefined ? [] : [`--storage=${resolve(context.cwd, storage)}`]),
        "--idle-timeout",
        idleTimeout === 0 ? "0" : `${idleTimeout}ms`,
        ...servingArgs(serving),
      ],
    });
  } finally {
    lock?.release();
  }
}

/** Runs a registry for the working directory in this process, until it is interrupted or idle for too long. */
export async function runInForeground(
  options: StartOptions,
  context: StartContext,
  onListening: (record: InstanceRecord) => void,
): Promise<void> {
  const place = await recordPlace(context.cwd, context.env);
  const launched = context.env[instanceVariable];
  // Who launched this process holds the lock, and has looked.
  const lock = launched === undefined ? await lockPlace(place, context.signal) : undefined;
  try {
    const running = launched === undefined ? await runningInstance(place) : undefined;
    if (running !== undefined)
      throw alreadyRuns(running, "a registry is running for this directory");
    await runRegistry({
      port: options.port ?? 0,
      storage: options.storage === undefined ? undefined : resolve(context.cwd, options.storage),
      idleTimeout: options.idleTimeout === 0 ? undefined : options.idleTimeout,
      serving: withAuth(options.serving ?? {}, launched === undefined ? {} : context.env),
      instance: launched ?? crypto.randomUUID(),
      place,
      signal: context.signal,
      onListening(record) {
        lock?.release();
        onListening(record);
      },
    });
  } finally {
    lock?.release();
  }
}

/** A background process has the name and password in its environment. */
const withAuth = (serving: Serving, env: StartContext["env"]): Serving => ({
  ...serving,
  auth: serving.auth ?? env[authVariable],
});

/**
 * The registry that runs for the directory. What one that was killed has left is removed.
 */
export async function runningInstance(place: RecordPlace): Promise<InstanceRecord | undefined> {
  const record = await readInstance(place);
  if (record === undefined) return undefined;
  if (await answers(record)) return record;
  if (record.temporary) removeTemporary(record.storage);
  await removeInstance(place, record.instance);
  return undefined;
}

function requireSame(
  running: InstanceRecord,
  { port, storage, serving = {} }: StartOptions,
  cwd: string,
): void {
  if (port !== undefined && port !== 0 && port !== running.port) {
    throw alreadyRuns(running, `a registry is running for this directory on port ${running.port}`);
  }
  if (storage !== undefined && resolve(cwd, storage) !== running.storage) {
    throw alreadyRuns(
      running,
      `a registry is running for this directory with "${running.storage}"`,
    );
  }
  const asks = serving.auth !== undefined || servingArgs(serving).length > 0;
  if (asks && servingName(serving) !== running.serving) {
    throw alreadyRuns(running, "a registry with other options is running for this directory");
  }
}

const alreadyRuns = ({ port }: InstanceRecord, what: string): OcibundleError =>
  new OcibundleError("conflict", what, {
    hint: `use 127.0.0.1:${port}, or stop it with \`ocibundle registry-stop\``,
  });

/** Two starts at once must end with one registry; where files can't be locked, they may end with two. */
const lockPlace = (place: RecordPlace, signal: AbortSignal): Promise<HeldLock | undefined> =>
  whereLockable(() => lockFile(place.lockPath, { signal }));
