import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { errno, OcibundleError } from "../errors.ts";
import type { Environment } from "./credential.ts";
import { type DockerConfig, parseDockerConfig } from "./docker-config.ts";

/** A file larger than this is no config, in bytes. */
const maxConfigBytes = 8 * 1024 * 1024;

const set = (value: string | undefined): value is string => value !== undefined && value !== "";

/** Where Docker keeps its config: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`. */
function dockerConfigPath(env: Environment): string {
  const folder = env["DOCKER_CONFIG"];
  if (set(folder)) return join(folder, "config.json");
  const home = [env["HOME"], env["USERPROFILE"]].find(set) ?? homeFolder();
  return join(home, ".docker", "config.json");
}

/** A user without an entry, as containers have them, has the home that their runtimes give. */
function homeFolder(): string {
  try {
    return homedir();
  } catch {
    return "/";
  }
}

/** Where credentials are written to: `REGISTRY_AUTH_FILE` where it is set, else Docker's config. */
export function writtenConfigPath(env: Environment): string {
  const named = env["REGISTRY_AUTH_FILE"];
  return set(named) ? named : dockerConfigPath(env);
}

/** Where credentials are looked for, in this order. */
export function configPaths(env: Environment): string[] {
  const named = env["REGISTRY_AUTH_FILE"];
  const runtimeDir = env["XDG_RUNTIME_DIR"];
  return [
    ...(set(named) ? [named] : []),
    dockerConfigPath(env),
    ...(set(runtimeDir) ? [join(runtimeDir, "containers", "auth.json")] : []),
  ];
}

/** Reads a config, or undefined where there is none. Throws `file`. */
export async function readConfig(path: string): Promise<DockerConfig | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    if (errno(cause) === "ENOENT" || errno(cause) === "ENOTDIR") return undefined;
    throw new OcibundleError("file", `"${path}" can't be read`, {
      hint: "credentials are looked for there; check its permissions, or set DOCKER_CONFIG",
      cause,
    });
  }
  if (bytes.byteLength > maxConfigBytes) {
    throw new OcibundleError("file", `"${path}" is too large to be a config`);
  }
  const text = bytes.toString("utf8");
  return text.trim() === "" ? {} : parseDockerConfig(text, `"${path}"`);
}
