import { OcibundleError } from "../errors.ts";
import type { Credential } from "./credential.ts";
import { readEntry } from "./auth-entry.ts";
import { firstValueEnd } from "./json-text.ts";
import { isObject, member } from "./members.ts";
import { hostOfUrl, keysFor, normalizeKey, storedKey } from "./registry-key.ts";

/**
 * What is used of Docker's config.json and of containers' auth.json, which has the same form. Entries
 * are checked when they are used: a broken one for another registry is no reason to fail.
 */
export interface DockerConfig {
  auths: Readonly<Record<string, unknown>>;
  credHelpers: Readonly<Record<string, unknown>>;
  credsStore: string | undefined;
  /** The JSON object as it stands in the file. */
  text: string;
}

/** Is told of a member that is not valid. */
export type OnFault = (error: OcibundleError) => void;

/**
 * Reads a config as Go's decoder does: a byte order mark, members in another case, null for nothing, and
 * what follows the document are no fault. Messages name the place, never the value. Throws `file`; with `onFault`,
 * which is told of it, a member that is not valid is taken for absent.
 */
export function parseDockerConfig(
  document: string,
  on: string,
  onFault: OnFault = (error) => {
    throw error;
  },
): DockerConfig {
  const whole = document.replace(/^\uFEFF/, "");
  if (whole.trim() === "") return { auths: {}, credHelpers: {}, credsStore: undefined, text: "" };
  const { json, text } = firstValue(whole, on);
  if (!isObject(json)) throw notDocker(on, "");
  const store = member(json, "credsStore");
  const isStore = store === undefined || typeof store === "string";
  if (!isStore) onFault(notDocker(on, "credsStore "));
  const mapOf = (name: string): Readonly<Record<string, unknown>> => {
    const value = member(json, name) ?? {};
    if (isObject(value)) return value;
    onFault(notDocker(on, `${name} `));
    return {};
  };
  return {
    auths: mapOf("auths"),
    credHelpers: mapOf("credHelpers"),
    credsStore: isStore ? store : undefined,
    text,
  };
}

function firstValue(whole: string, on: string): { json: unknown; text: string } {
  for (const text of [whole, whole.slice(0, firstValueEnd(whole) ?? 0)]) {
    try {
      return { json: JSON.parse(text), text };
    } catch {
      // The parser's own message quotes the text around the fault.
    }
  }
  throw new OcibundleError("file", `${on}: not a JSON document`, {
    hint: "correct or remove the file, then run `ocibundle login`",
  });
}

const notDocker = (on: string, place: string): OcibundleError =>
  new OcibundleError("file", `${on}: ${place}is not valid`);

/**
 * The entry of `auths` that speaks for a repository, longest key first, and whether its key has a path.
 * Throws `file` for a broken one.
 */
export function findEntry(
  config: DockerConfig,
  host: string,
  repository: string | undefined,
  on: string,
): { credential: Credential; hasPath: boolean } | undefined {
  const keys = Object.keys(config.auths);
  const own = normalizeKey(host);
  const exact = [storedKey(host), host];
  const matching = [
    ...keysFor(host, repository).flatMap((wanted) => [
      ...(wanted === own ? exact.filter((key) => Object.hasOwn(config.auths, key)) : []),
      ...keys.filter((key) => normalizeKey(key) === wanted),
    ]),
    ...keys.filter((key) => hostOfUrl(key) === own),
  ];
  for (const key of matching) {
    const credential = readEntry(config.auths[key], `${on}: auths "${key}"`);
    if (credential !== undefined) {
      return { credential, hasPath: hostOfUrl(key) === undefined && normalizeKey(key) !== own };
    }
  }
  return undefined;
}

/**
 * The helper that `credHelpers` or `credsStore` names for a registry. An empty name in `credHelpers` says
 * that the file itself keeps its login, whatever `credsStore` names. Throws `file`.
 */
export function findHelper(config: DockerConfig, host: string, on: string): string | undefined {
  const exact = [storedKey(host), host].filter((key) => Object.hasOwn(config.credHelpers, key));
  const own = normalizeKey(host);
  const others = Object.keys(config.credHelpers).filter(
    (key) => normalizeKey(key) === own || hostOfUrl(key) === own,
  );
  const [key] = [...exact, ...others];
  const name = key === undefined ? config.credsStore : (config.credHelpers[key] ?? "");
  if (typeof name === "string" || name === undefined) return name === "" ? undefined : name;
  throw new OcibundleError("file", `${on}: credHelpers "${key}" is not a name`);
}

/**
 * What a registry is called to its helper: as Docker does it, with the letters as the user wrote them when he logged in
 * there. Docker leaves that name in `auths`.
 */
export function helperKey({ auths, credHelpers }: DockerConfig, host: string): string {
  const key = storedKey(host);
  const names = [...Object.keys(credHelpers), ...Object.keys(auths)];
  if (names.includes(key)) return key;
  return names.find((name) => name.toLowerCase() === key.toLowerCase()) ?? key;
}
