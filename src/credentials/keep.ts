import type { Credential, Environment } from "./credential.ts";
import { formatEntry } from "./auth-entry.ts";
import { type DockerConfig, findHelper, helperKey } from "./docker-config.ts";
import { readConfig, writtenConfigPath } from "./files.ts";
import { helperErase, helperGet, helperStore } from "./helper.ts";
import { editMember } from "./json-text.ts";
import { normalizeKey, storedKey } from "./registry-key.ts";
import { changeConfig, type LockPath } from "./write-config.ts";

/** Where a credential is kept: a helper's name, or a file's path. */
export type Keeper = { kind: "helper"; name: string } | { kind: "file"; path: string };

/** What keeping and forgetting a login need. */
export interface KeepOptions {
  /** Names the configuration's directory, and is that of the helper. */
  env: Environment;
  /** Keeps other processes of ocibundle from changing the file at the same time. */
  lock: LockPath;
  signal?: AbortSignal | undefined;
}

/**
 * Keeps a credential for a registry where Docker would: in the helper that the config names, else in
 * the config itself, mode 0600, everything else in it as it was. Throws `file`, `system`, `denied`.
 */
export async function storeCredential(
  host: string,
  credential: Exclude<Credential, { kind: "bearer" }>,
  { env, lock, signal }: KeepOptions,
): Promise<Keeper> {
  const path = writtenConfigPath(env);
  const config = await readConfig({ path, named: false });
  const helper = config === undefined ? undefined : findHelper(config, host, `"${path}"`);
  const key = config === undefined ? storedKey(host) : helperKey(config, host);
  if (helper !== undefined) {
    await helperStore(helper, key, credential, { env, signal });
  }
  // Docker leaves an empty entry for what its helper keeps, and lists logins by it.
  const value = helper === undefined ? formatEntry(credential) : {};
  await changeConfig(
    path,
    ({ text }) => editMember(text, "auths", { remove: isOf(host), set: { key, value } }),
    lock,
  );
  return helper === undefined ? { kind: "file", path } : { kind: "helper", name: helper };
}

/** Forgets what {@link storeCredential} keeps. Resolves to whether there was anything. */
export async function eraseCredential(
  host: string,
  { env, lock, signal }: KeepOptions,
): Promise<boolean> {
  const path = writtenConfigPath(env);
  const config = await readConfig({ path, named: false });
  if (config === undefined) return false;
  let known = false;
  const helper = findHelper(config, host, `"${path}"`);
  if (helper !== undefined) {
    const options = { env, signal };
    const key = helperKey(config, host);
    known = (await helperGet(helper, key, options)) !== undefined;
    if (known) await helperErase(helper, key, options);
  }
  if (!hasEntry(config, host)) return known;
  const remove = isOf(host);
  await changeConfig(
    path,
    (now) => (hasEntry(now, host) ? editMember(now.text, "auths", { remove }) : undefined),
    lock,
  );
  return true;
}

const hasEntry = ({ auths }: DockerConfig, host: string): boolean =>
  Object.keys(auths).some(isOf(host));

/** Whether a key is a registry's: one may be there under more than one spelling. */
const isOf =
  (host: string) =>
  (key: string): boolean =>
    normalizeKey(key) === normalizeKey(host);
