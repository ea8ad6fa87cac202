import type { Credential, Environment } from "./credential.ts";
import { findEntry, findHelper } from "./docker-config.ts";
import { configPaths, readConfig } from "./files.ts";
import { helperGet } from "./helper.ts";
import { storedKey } from "./registry-key.ts";

/**
 * Looks up what Docker and its like keep for a repository, or for a registry as a whole: in
 * `REGISTRY_AUTH_FILE`, Docker's config.json, then containers' auth.json. In each, an entry with a
 * path goes first, then the credential helper, then the entry of the host.
 *
 * Undefined when there is nothing. Throws `file` for a broken config, `denied` for a broken helper.
 */
export async function findCredential(
  host: string,
  repository: string | undefined,
  env: Environment,
  signal?: AbortSignal,
): Promise<Credential | undefined> {
  for (const path of configPaths(env)) {
    const config = await readConfig(path);
    if (config === undefined) continue;
    const entry = findEntry(config, host, repository, `"${path}"`);
    if (entry?.hasPath === true) return entry.credential;
    const helper = findHelper(config, host, `"${path}"`);
    if (helper !== undefined) {
      const credential = await helperGet(helper, storedKey(host), { env, signal });
      if (credential !== undefined) return credential;
    }
    if (entry !== undefined) return entry.credential;
  }
  return undefined;
}
