import { join } from "node:path";
import { OcibundleError } from "../errors.ts";
import { homeDirectory } from "../runtime/home-directory.ts";
import { readDocument } from "../runtime/read-document.ts";
import type { Environment } from "./credential.ts";
import { type DockerConfig, type OnFault, parseDockerConfig } from "./docker-config.ts";
import { isMissing, readingCode, unreadableBecause } from "../runtime/file-faults.ts";

/** A file larger than this is no config, in bytes. */
const maxConfigBytes = 8 * 1024 * 1024;

/** A place where logins are kept. */
export interface ConfigPlace {
  /** The file's path, or the name of the variable that holds the config itself. */
  path: string;
  /** The config, where it stands in a variable. */
  text?: string;
  /** Whether the user named this file for logins: then it must be readable. */
  named: boolean;
}

const set = (value: string | undefined): value is string => value !== undefined && value !== "";

/** A user without a home, as containers have them, has the one that their runtimes give. */
const home = (env: Environment): string => homeDirectory(env) ?? "/";

/** Where Docker keeps its config: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`. */
function dockerConfigPath(env: Environment): string {
  const directory = env["DOCKER_CONFIG"];
  return join(set(directory) ? directory : join(home(env), ".docker"), "config.json");
}

/** Where Podman and its like keep their logins (containers-auth.json(5)). */
function containersPaths(env: Environment): string[] {
  const runtime = env["XDG_RUNTIME_DIR"];
  const uid = process.getuid?.();
  const config = env["XDG_CONFIG_HOME"];
  return [
    ...(set(runtime)
      ? [join(runtime, "containers", "auth.json")]
      : uid === undefined
        ? []
        : [`/run/containers/${uid}/auth.json`]),
    join(set(config) ? config : join(home(env), ".config"), "containers", "auth.json"),
  ];
}

/** Where credentials are written to: `REGISTRY_AUTH_FILE` where it is set, else Docker's config. */
export function writtenConfigPath(env: Environment): string {
  const named = env["REGISTRY_AUTH_FILE"];
  return set(named) ? named : dockerConfigPath(env);
}

/** Where credentials are looked for, in this order. */
export function configPlaces(env: Environment): ConfigPlace[] {
  const named = env["REGISTRY_AUTH_FILE"];
  const variable = env["DOCKER_AUTH_CONFIG"];
  return [
    ...(set(named) ? [{ path: named, named: true }] : []),
    ...(set(variable) ? [{ path: "DOCKER_AUTH_CONFIG", text: variable, named: false }] : []),
    ...[dockerConfigPath(env), ...containersPaths(env)].map((path) => ({ path, named: false })),
  ];
}

/**
 * Reads a config, or undefined where there is none. Throws `file`, `system`; `onFault` as {@link parseDockerConfig}
 * has it.
 */
export async function readConfig(
  { path, text, named }: ConfigPlace,
  onFault?: OnFault,
): Promise<DockerConfig | undefined> {
  if (text !== undefined) return parseDockerConfig(text, path, onFault);
  let bytes: Buffer;
  try {
    bytes = await readDocument(path, { maxBytes: maxConfigBytes, named });
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    const code = readingCode(cause);
    throw new OcibundleError(code, `"${path}" ${unreadableBecause(cause)}`, {
      hint: "check the permissions of this file, or set DOCKER_CONFIG to another directory",
      cause,
    });
  }
  return parseDockerConfig(bytes.toString("utf8"), `"${path}"`, onFault);
}
