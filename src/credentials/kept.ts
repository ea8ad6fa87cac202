import { OcibundleError } from "../errors.ts";
import type { Environment } from "./credential.ts";
import { findHelper, helperKey } from "./docker-config.ts";
import { configPlaces, readConfig } from "./files.ts";
import { helperGet } from "./helper.ts";
import { normalizeKey } from "./registry-key.ts";

/** A place that has a credential of a registry, or of a part of it. */
export type Kept =
  | { kind: "helper"; name: string }
  /** `key` is as it stands in the file: `ghcr.io/acme`. */
  | { kind: "file"; path: string; key: string };

/**
 * Every place where something is kept for a registry or for repositories of it, in the order in which
 * they are looked into. What can't be read has nothing.
 */
export async function keptFor(
  host: string,
  env: Environment,
  signal?: AbortSignal,
): Promise<Kept[]> {
  const wanted = normalizeKey(host);
  const kept: Kept[] = [];
  for (const place of configPlaces(env)) {
    const { path } = place;
    const config = await orNothing(readConfig(place, () => undefined));
    if (config === undefined) continue;
    for (const [key, entry] of Object.entries(config.auths)) {
      const normal = normalizeKey(key);
      const ofHost = normal === wanted || normal.startsWith(`${wanted}/`);
      if (ofHost && holdsSomething(entry)) kept.push({ kind: "file", path, key });
    }
    const name = await orNothing((async () => findHelper(config, host, path))());
    if (name === undefined) continue;
    const known = await orNothing(helperGet(name, helperKey(config, host), { env, signal }));
    if (known === undefined) continue;
    kept.push({ kind: "helper", name });
  }
  return kept;
}

/** Docker leaves an empty entry for what its helper keeps. */
const holdsSomething = (entry: unknown): boolean =>
  typeof entry === "object" &&
  entry !== null &&
  Object.values(entry).some((value) => typeof value === "string" && value !== "");

async function orNothing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof OcibundleError) return undefined;
    throw error;
  }
}
