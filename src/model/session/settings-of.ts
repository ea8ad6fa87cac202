import { defaultHost } from "../../oci/reference.ts";
import type { Config, RegistrySettings } from "./config.ts";
import { settingsOfRepository, type VerifySettings } from "./verify-settings.ts";

/**
 * What is set for a host: its own entry, else the one of another spelling of the host, else the one for all
 * others; never parts of several.
 */
export function settingsOf({ registries }: Config, host: string): RegistrySettings {
  const [name] = namesOf(registries, host);
  return (name === undefined ? undefined : registries.get(name)) ?? { mirrors: [] };
}

/**
 * Who must have signed what is pulled from a repository; nobody where nothing is set. Unlike all else, what is
 * set for all registries also holds for one that has an entry without a word about it: a rule must not go by
 * accident.
 */
export function verifySettingsOf(
  { registries }: Config,
  { host, repository }: { host: string; repository: string },
): VerifySettings {
  // Docker Hub's own: "ubuntu" is what is written for "library/ubuntu".
  const bare = registryOf(host) === defaultHost ? repository.replace(/^library\//, "") : repository;
  for (const name of namesOf(registries, host)) {
    const { verify, repositories = new Map<string, VerifySettings>() } = registries.get(name) ?? {};
    const found =
      repositories.get(repository) ??
      repositories.get(bare) ??
      settingsOfRepository(repositories, repository) ??
      verify;
    if (found !== undefined) return found;
  }
  return [];
}

/** The entries that speak for a host: as it is spelled, then by other spellings, then the one for all. */
function namesOf(registries: Config["registries"], host: string): string[] {
  const registry = registryOf(host);
  const same = [...registries.keys()].filter((name) => registryOf(name) === registry);
  const names = [host.toLowerCase(), ...same, "*"];
  return [...new Set(names)].filter((name) => registries.has(name));
}

/** Whether two hosts are two spellings of one registry's. */
export const isSameRegistry = (one: string, other: string): boolean =>
  registryOf(one) === registryOf(other);

/** One name for the spellings of a registry's host: whoever writes another one gets round no setting. */
function registryOf(host: string): string {
  const url = `https://${host}`;
  // As it is connected to: in lower case, with no 443, and with one spelling of each address.
  const name = URL.canParse(url) ? new URL(url).host : host.toLowerCase();
  return /^(?:index|registry-1)\.docker\.io$/.test(name) ? defaultHost : name;
}
