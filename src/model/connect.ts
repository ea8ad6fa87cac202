import { findCredential } from "../credentials/find.ts";
import { createRegistry, type RegistryOptions } from "../registry/registry.ts";
import type { Registry } from "../registry/types.ts";
import type { EmitEvent } from "../transfer/events.ts";
import { type Config, type MirrorAddress, settingsOf } from "./config.ts";

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
  emit: EmitEvent;
  flags: ConnectionFlags;
  config: Config;
}

/** What is kept to log in to a registry with. */
type Found = Awaited<ReturnType<typeof findCredential>>;

/** How a registry is spoken to: the flags of the run, else what is configured for its host. */
export function registryOptions(
  { env, emit, flags, config }: Connecting,
  host: string,
): RegistryOptions {
  const settings = settingsOf(config, host);
  const { certFile, keyFile } =
    flags.certFile !== undefined || flags.keyFile !== undefined ? flags : settings;
  return {
    env,
    emit,
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
): Registry =>
  createRegistry(host, {
    ...registryOptions(connecting, host),
    async credentials(credentialHost, repository) {
      const found = await findCredential(credentialHost, repository, connecting.env);
      onLogin?.(found);
      return found;
    },
  });

/**
 * A client for a mirror of `origin`. The flags of the run are about the registry that was named; of a
 * mirror counts what is configured for its own host, and what is kept to log in to that. It is asked
 * once: what fails is had from the next.
 */
export function connectMirror(
  { env, emit, config }: Connecting,
  { host, scheme, headers }: MirrorAddress,
  origin: string,
): Registry {
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
    retries: 0,
    credentials: (credentialHost, repository) => findCredential(credentialHost, repository, env),
  });
}
