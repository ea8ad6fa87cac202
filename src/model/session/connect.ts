import { accessSync, constants } from "node:fs";
import { findCredential, rememberHelpers } from "../../credentials/find.ts";
import { OcibundleError } from "../../errors.ts";
import { createRegistry, type RegistryOptions, triesOfRun } from "../../registry/registry.ts";
import type { Registry } from "../../registry/types.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import type { Config } from "./config.ts";
import type { MirrorAddress } from "./mirror-settings.ts";
import { readingCode, unreadableBecause } from "../../runtime/file-faults.ts";
import { settingsOf } from "./settings-of.ts";

/** The flags of a run that say how the registry it names is spoken to. */
export interface ConnectionFlags {
  plainHttp: boolean;
  insecure: boolean;
  caFile: string | undefined;
  certFile: string | undefined;
  keyFile: string | undefined;
}

/** Who connects: a job, and the configuration that was read for it. */
interface Connecting {
  env: Readonly<Record<string, string | undefined>>;
  signal: AbortSignal;
  emit: EmitEvent;
  flags: ConnectionFlags;
  config: Config;
  /** What all registries of the run share; one of its own unless given. */
  budget?: RegistryOptions["budget"];
}

/**
 * Sees that the files of the flags can be used at all, before anything is hashed or asked for. Throws
 * `usage`, `file`, `system`.
 */
export function checkFlags({ caFile, certFile, keyFile }: ConnectionFlags): void {
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new OcibundleError("usage", "--cert-file and --key-file must be used together", {
      hint: "add the missing flag",
    });
  }
  const files = { "--ca-file": caFile, "--cert-file": certFile, "--key-file": keyFile };
  for (const [flag, path] of Object.entries(files)) {
    if (path === undefined) continue;
    try {
      accessSync(path, constants.R_OK);
    } catch (cause) {
      const why = unreadableBecause(cause);
      throw new OcibundleError(readingCode(cause), `${flag}: "${path}" ${why}`, { cause });
    }
  }
}

/** What is kept to log in to a registry with. */
type Found = Awaited<ReturnType<typeof findCredential>>;
type FindCredential = (host: string, repository: string | undefined) => Promise<Found>;

/** How a registry is spoken to: the flags of the run, else what is configured for its host. */
export function registryOptions(
  { env, emit, flags, config, budget }: Connecting,
  host: string,
): RegistryOptions {
  const settings = settingsOf(config, host);
  const { certFile, keyFile } =
    flags.certFile !== undefined || flags.keyFile !== undefined ? flags : settings;
  return {
    env,
    emit,
    budget,
    plainHttp: flags.plainHttp || settings.plainHttp === true,
    insecure: flags.insecure || settings.insecure === true,
    caFile: flags.caFile ?? settings.caFile,
    certFile,
    keyFile,
  };
}

/** A client for one registry, set up as the run is. `onLogin` is told what it is logged in with, when it asks. */
export const connect = (
  connecting: Connecting,
  host: string,
  onLogin?: (credential: Found) => void,
): Registry => {
  const look = lookUp(connecting);
  return createRegistry(host, {
    ...registryOptions(connecting, host),
    async credentials(credentialHost, repository) {
      const found = await look(credentialHost, repository);
      onLogin?.(found);
      return found;
    },
  });
};

/**
 * Looks credentials up. What can't be used is told of once, and no reason to stop: what is public needs no
 * login, and a registry that wants one says so.
 */
function lookUp({ env, emit, signal }: Omit<Connecting, "flags" | "config">): FindCredential {
  const told = new Set<string>();
  const askHelper = rememberHelpers();
  return (host, repository) =>
    findCredential(host, repository, env, {
      signal,
      warn(message) {
        const words = `${message}; continuing without it`;
        if (!told.has(words)) emit({ type: "warning", message: words });
        told.add(words);
      },
      askHelper,
    });
}

/**
 * A client for a mirror of `origin`. The flags of the run are about the registry that was named; of a
 * mirror counts what is configured for its own host, and what is kept to log in to that. It is asked
 * once: what fails is had from the next.
 */
export function connectMirror(
  connecting: Omit<Connecting, "flags">,
  { host, scheme, headers }: MirrorAddress,
  origin: string,
): Registry {
  const { env, emit, config } = connecting;
  const { plainHttp, insecure, caFile, certFile, keyFile } = settingsOf(config, host);
  return createRegistry(host, {
    env,
    emit,
    plainHttp: scheme === undefined ? plainHttp : scheme === "http",
    https: scheme === "https",
    insecure,
    caFile,
    certFile,
    keyFile,
    ns: origin,
    headers,
    budget: triesOfRun(0),
    credentials: lookUp(connecting),
  });
}
