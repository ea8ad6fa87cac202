import { randomBytes } from "node:crypto";
import { mkdir, realpath, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { errno, OcibundleError } from "../errors.ts";
import { createFile, isSpecial, privateMode } from "../runtime/own-file.ts";
import type { Credential, Environment } from "./credential.ts";
import { type DockerConfig, findHelper, formatEntry } from "./docker-config.ts";
import { readConfig, writtenConfigPath } from "./files.ts";
import { helperErase, helperGet, helperStore } from "./helper.ts";
import { normalizeKey, storedKey } from "./registry-key.ts";

/** Where a credential is kept: a helper's name, or a file's path. */
export type Keeper = { kind: "helper"; name: string } | { kind: "file"; path: string };

/**
 * Keeps a credential for a registry where Docker would: in the helper that the config names, else in
 * the config itself, mode 0600, everything else in it as it was. Throws `file`, `denied`.
 */
export async function storeCredential(
  host: string,
  credential: Exclude<Credential, { kind: "bearer" }>,
  env: Environment,
  signal?: AbortSignal,
): Promise<Keeper> {
  const path = writtenConfigPath(env);
  const config = (await readConfig(path)) ?? {};
  const helper = findHelper(config, host, `"${path}"`);
  if (helper !== undefined) {
    await helperStore(helper, storedKey(host), credential, { env, signal });
  }
  // Docker leaves an empty entry for what its helper keeps, and lists logins by it.
  const entry = helper === undefined ? formatEntry(credential) : {};
  await writeConfig(path, {
    ...config,
    auths: { ...withoutHost(config, host), [storedKey(host)]: entry },
  });
  return helper === undefined ? { kind: "file", path } : { kind: "helper", name: helper };
}

/** Forgets what {@link storeCredential} keeps. Resolves to whether there was anything. */
export async function eraseCredential(
  host: string,
  env: Environment,
  signal?: AbortSignal,
): Promise<boolean> {
  const path = writtenConfigPath(env);
  const config = await readConfig(path);
  if (config === undefined) return false;
  let known = false;
  const helper = findHelper(config, host, `"${path}"`);
  if (helper !== undefined) {
    const options = { env, signal };
    known = (await helperGet(helper, storedKey(host), options)) !== undefined;
    if (known) await helperErase(helper, storedKey(host), options);
  }
  const auths = withoutHost(config, host);
  if (Object.keys(auths).length === Object.keys(config.auths ?? {}).length) return known;
  await writeConfig(path, { ...config, auths });
  return true;
}

/** The entries of all other registries: one may be there under more than one spelling. */
function withoutHost(config: DockerConfig, host: string): Record<string, unknown> {
  const gone = normalizeKey(host);
  return Object.fromEntries(
    Object.entries(config.auths ?? {}).filter(([key]) => normalizeKey(key) !== gone),
  );
}

/** Writes beside the file, flushes, and renames over it: no moment has a half file or a readable secret. */
async function writeConfig(path: string, config: DockerConfig): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const target = await followed(path);
    if (await isSpecial(target)) throw new Error("it is not a regular file");
    const temporary = `${target}.${randomBytes(6).toString("hex")}.tmp`;
    try {
      const file = await createFile(temporary, privateMode);
      try {
        await file.writeFile(`${JSON.stringify(config, null, "\t")}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, target);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  } catch (cause) {
    throw new OcibundleError("file", `"${path}" can't be written`, {
      hint: "check the folder's permissions, or set DOCKER_CONFIG to another one",
      cause,
    });
  }
}

/** The file itself where the path is a symbolic link, which must stay one. */
async function followed(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (errno(error) === "ENOENT") return path;
    throw error;
  }
}
