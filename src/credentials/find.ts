import { OcibundleError } from "../errors.ts";
import type { Credential, Environment } from "./credential.ts";
import { type DockerConfig, findEntry, findHelper, helperKey } from "./docker-config.ts";
import { type ConfigPlace, configPlaces, readConfig } from "./files.ts";
import { helperGet } from "./helper.ts";

/** What a lookup is given besides the repository; all of it may be left out. */
export interface FindOptions {
  /** Ends a helper that is being asked. */
  signal?: AbortSignal | undefined;
  /** Told what was passed over, and why. */
  warn?: ((message: string) => void) | undefined;
  /** Asks a helper; a run asks each once. */
  askHelper?: typeof helperGet | undefined;
}

/**
 * Looks up what Docker and its like keep for a repository, or for a registry as a whole: in
 * `REGISTRY_AUTH_FILE`, `DOCKER_AUTH_CONFIG`, Docker's config.json, then containers' auth.json. In each, an
 * entry with a path goes first, then the credential helper, then the entry of the host.
 *
 * Undefined when there is nothing. What can't be used and was not named is told and passed over, and so is
 * a helper that does not work. Throws `file` and `system` for `REGISTRY_AUTH_FILE`.
 */
export async function findCredential(
  host: string,
  repository: string | undefined,
  env: Environment,
  options: FindOptions = {},
): Promise<Credential | undefined> {
  for (const place of configPlaces(env)) {
    const found = await orWarn(place.named, options, () =>
      lookIn(place, { host, repository, env }, options),
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

interface Wanted {
  host: string;
  repository: string | undefined;
  env: Environment;
}

async function lookIn(
  place: ConfigPlace,
  { host, repository, env }: Wanted,
  options: FindOptions,
): Promise<Credential | undefined> {
  const passOver = ({ message }: OcibundleError): void => options.warn?.(message);
  const config = await readConfig(place, place.named ? undefined : passOver);
  if (config === undefined) return undefined;
  const on = place.text === undefined ? `"${place.path}"` : place.path;
  const entry = await orWarn(place.named, options, () => findEntry(config, host, repository, on));
  if (entry?.hasPath === true) return entry.credential;
  const kept = await orWarn(false, options, () => askHelperOf(config, host, env, on, options));
  return kept ?? entry?.credential;
}

async function askHelperOf(
  config: DockerConfig,
  host: string,
  env: Environment,
  on: string,
  { signal, askHelper = helperGet }: FindOptions,
): Promise<Credential | undefined> {
  const helper = findHelper(config, host, on);
  return helper === undefined
    ? undefined
    : await askHelper(helper, helperKey(config, host), { env, signal });
}

/** What `work` gives; where it can't, and the user did not name it, a warning and nothing. */
async function orWarn<T>(
  named: boolean,
  { warn }: FindOptions,
  work: () => T | Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (named || !(error instanceof OcibundleError) || isStop(error)) throw error;
    warn?.(error.message);
    return undefined;
  }
}

const isStop = ({ code }: OcibundleError): boolean =>
  code === "interrupted" || code === "terminated";

/** How long the answer of a helper is believed, in milliseconds: what it gives may end after an hour. */
const answerKept = 300_000;

/** Asks each helper once for a registry, however many repositories of it are read; and again after a while. */
export function rememberHelpers(now: () => number = Date.now, ask = helperGet): typeof helperGet {
  const asked = new Map<string, { answer: ReturnType<typeof helperGet>; until: number }>();
  return (name, key, options) => {
    const question = `${name} ${key}`;
    const known = asked.get(question);
    if (known !== undefined && now() < known.until) return known.answer;
    const answer = ask(name, key, options);
    asked.set(question, { answer, until: now() + answerKept });
    return answer;
  };
}
