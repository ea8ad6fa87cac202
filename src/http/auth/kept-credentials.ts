import { dropOldest } from "../../flow/drop-oldest.ts";
import type { Credential, FindCredential } from "./credential.ts";

/**
 * How long a credential is believed that was looked up, in milliseconds: helpers give some that end after hours, and
 * secrets are replaced.
 */
const credentialKept = 300_000;
/** Repositories whose credentials are remembered. */
const mostCredentials = 1000;

/**
 * Looks up the credentials of one registry, each once for a while; one lookup serves all that ask meanwhile. A lookup
 * that fails is not kept. `now`: milliseconds since 1970.
 */
export function keptCredentials(
  find: FindCredential,
  host: string,
  now: () => number,
): (repository: string | undefined) => Promise<Credential | undefined> {
  const kept = new Map<string, { credential: Promise<Credential | undefined>; until: number }>();
  return (repository) => {
    const key = repository ?? "";
    const known = kept.get(key);
    if (known !== undefined && now() < known.until) return known.credential;
    const credential = find(host, repository);
    kept.delete(key);
    kept.set(key, { credential, until: now() + credentialKept });
    dropOldest(kept, mostCredentials);
    credential.catch(() => kept.delete(key));
    return credential;
  };
}
