import { rmSync } from "node:fs";
import { mkdtemp, realpath } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errno, OcibundleError } from "../../../errors.ts";
import type { RegistryHandler } from "../routes/registry.ts";
import { openServed, type Serving } from "../serving.ts";
import { replaceSmall } from "../storage/files.ts";
import { makeCertificates } from "./certificate.ts";
import { type RunningServer, serveHttp, type ServeOptions } from "./http-server.ts";
import { identified } from "./identity.ts";
import { untilIdle } from "./idle.ts";
import {
  type InstanceRecord,
  type RecordPlace,
  removeInstance,
  servingName,
  writeInstance,
} from "./record.ts";
import { lockStorage } from "./storage-lock.ts";
import { unwritable } from "../../../runtime/file-faults.ts";

/** How a registry is served in this process. */
export interface RunOptions {
  /** 0 for any free one. */
  port: number;
  /** Absolute; a temporary directory, removed at the end, when undefined. */
  storage: string | undefined;
  /** Milliseconds without a request after which it ends; undefined: never. */
  idleTimeout: number | undefined;
  serving: Serving;
  /** The id that its record has, by which others recognise it. */
  instance: string;
  /** Where its record is written. */
  place: RecordPlace;
  signal: AbortSignal;
  /** Called once it listens. */
  onListening(record: InstanceRecord): void;
}

const temporaryPrefix = "ocibundle-registry-";

/**
 * Runs a registry in this process until the signal is aborted or nothing was asked for `idleTimeout`.
 *
 * Throws `conflict` or `system` when the port or the storage can't be had, `file` for its path; an abort is its
 * normal end and throws nothing.
 */
export async function runRegistry(options: RunOptions): Promise<void> {
  const temporary = options.storage === undefined;
  const storage = options.storage ?? (await makeTemporary());
  try {
    await serveRegistry(options, storage, temporary);
  } finally {
    // At once, and not awaited: after an abort there is little time.
    if (temporary) removeTemporary(storage);
  }
}

/** The registry with the storage for itself. A temporary one is nobody else's. */
async function serveRegistry(
  options: RunOptions,
  storage: string,
  temporary: boolean,
): Promise<void> {
  const lock = temporary ? undefined : await lockStorage(storage, options.signal);
  try {
    await serveStorage(options, storage, temporary);
  } finally {
    lock?.release();
  }
}

async function serveStorage(
  { port, idleTimeout, serving, instance, place, signal, onListening }: RunOptions,
  storage: string,
  temporary: boolean,
): Promise<void> {
  const registry = identified(await openServed(storage, serving), instance);
  const { handle, ended } = lifetime(registry, idleTimeout, signal);
  const certificates = serving.tls === true ? await makeCertificates() : undefined;
  const server = await listen({ port, handle, tls: certificates });
  try {
    if (certificates !== undefined) await replaceSmall(place.caPath, certificates.ca);
    const record: InstanceRecord = {
      version: 1,
      instance,
      pid: process.pid,
      port: server.port,
      storage,
      temporary,
      ...(certificates === undefined ? {} : { ca: place.caPath }),
      serving: servingName(serving),
    };
    await writeInstance(place, record);
    onListening(record);
    await ended;
  } finally {
    await removeInstance(place, instance);
    await server.stop();
  }
}

/** A handler, and when the registry is to end. */
function lifetime(
  registry: RegistryHandler,
  idleTimeout: number | undefined,
  signal: AbortSignal,
): { handle: RegistryHandler; ended: Promise<void> } {
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  if (idleTimeout === undefined) return { handle: registry, ended: aborted };
  const { handle, idle, cancel } = untilIdle(registry, idleTimeout);
  return { handle, ended: Promise.race([idle, aborted]).finally(cancel) };
}

async function listen({
  port,
  handle,
  tls,
}: Pick<ServeOptions, "port" | "handle"> & {
  tls: ServeOptions["tls"] | undefined;
}): Promise<RunningServer> {
  try {
    return await serveHttp({
      hostname: "127.0.0.1",
      port,
      handle,
      ...(tls === undefined ? {} : { tls: { cert: tls.cert, key: tls.key } }),
    });
  } catch (cause) {
    const why =
      errno(cause) === "EADDRINUSE" ? "it is in use" : (errno(cause) ?? "it cannot be used");
    throw new OcibundleError(
      errno(cause) === "EADDRINUSE" ? "conflict" : "system",
      `port ${port} of 127.0.0.1: ${why}`,
      {
        hint: "choose another with --port, or omit --port to use any free port",
        cause,
      },
    );
  }
}

async function makeTemporary(): Promise<string> {
  try {
    return await mkdtemp(join(await realpath(tmpdir()), temporaryPrefix));
  } catch (error) {
    throw unwritable(tmpdir(), error);
  }
}

/** Removes a storage that `runRegistry` made; a path that can't be one is left alone. */
export function removeTemporary(storage: string): void {
  if (storage.includes(temporaryPrefix)) {
    rmSync(storage, { recursive: true, force: true, maxRetries: 3 });
  }
}
