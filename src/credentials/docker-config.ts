import * as v from "valibot";
import { OcibundleError } from "../errors.ts";
import type { Credential } from "./credential.ts";
import { keysFor, normalizeKey } from "./registry-key.ts";

// A list is an object to JavaScript, not to whoever wrote the file.
const notList = v.custom<object>((input) => !Array.isArray(input));
const byKey = v.nullish(v.pipe(notList, v.record(v.string(), v.unknown())));

/**
 * What is used of Docker's config.json and of containers' auth.json, which has the same form. Entries
 * are checked when they are used: a broken one for another registry is no reason to fail.
 */
const ConfigSchema = v.pipe(
  notList,
  v.looseObject({ auths: byKey, credHelpers: byKey, credsStore: v.nullish(v.string()) }),
);

export type DockerConfig = v.InferOutput<typeof ConfigSchema>;

const EntrySchema = v.looseObject({
  auth: v.nullish(v.string()),
  username: v.nullish(v.string()),
  password: v.nullish(v.string()),
  identitytoken: v.nullish(v.string()),
  registrytoken: v.nullish(v.string()),
});

/** Reads a config. Messages name the place, never the value. Throws `file`. */
export function parseDockerConfig(text: string, on: string): DockerConfig {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text around the fault.
    throw new OcibundleError("file", `${on}: not a JSON document`);
  }
  check(ConfigSchema, json, on);
  // The document itself rather than the schema's copy: it is written back in the order it had.
  return json as DockerConfig;
}

function check<TSchema extends v.GenericSchema>(
  schema: TSchema,
  json: unknown,
  on: string,
): v.InferOutput<TSchema> {
  const result = v.safeParse(schema, json);
  if (result.success) return result.output;
  const path = v.getDotPath(result.issues[0]);
  const place = path === null ? "" : `${path} `;
  throw new OcibundleError("file", `${on}: ${place}is not what Docker puts there`);
}

/** The entry of `auths` that speaks for a repository, longest key first, and whether its key has a path. */
export function findEntry(
  config: DockerConfig,
  host: string,
  repository: string | undefined,
  on: string,
): { credential: Credential; hasPath: boolean } | undefined {
  const entries = Object.entries(config.auths ?? {});
  for (const wanted of keysFor(host, repository)) {
    for (const [key, entry] of entries) {
      if (normalizeKey(key) !== wanted) continue;
      const credential = readEntry(entry, `${on}: auths "${key}"`);
      if (credential !== undefined) return { credential, hasPath: wanted.includes("/") };
    }
  }
  return undefined;
}

/** The helper that `credHelpers` or `credsStore` names for a registry. Throws `file`. */
export function findHelper(config: DockerConfig, host: string, on: string): string | undefined {
  const wanted = normalizeKey(host);
  for (const [key, name] of Object.entries(config.credHelpers ?? {})) {
    if (normalizeKey(key) !== wanted) continue;
    if (typeof name === "string") return name;
    throw new OcibundleError("file", `${on}: credHelpers "${key}" is not a name`);
  }
  const store = config.credsStore;
  return store === null || store === undefined || store === "" ? undefined : store;
}

function readEntry(json: unknown, on: string): Credential | undefined {
  const entry = check(EntrySchema, json ?? {}, on);
  const basic = readBasic(entry, on);
  if (given(entry.registrytoken)) return { kind: "bearer", token: entry.registrytoken };
  if (given(entry.identitytoken)) {
    return {
      kind: "refresh",
      token: entry.identitytoken,
      ...(basic === undefined || basic.username === "" ? {} : { username: basic.username }),
    };
  }
  if (basic === undefined || basic.username === "") return undefined;
  return { kind: "password", ...basic };
}

const given = (text: string | null | undefined): text is string =>
  text !== undefined && text !== null && text !== "";

function readBasic(
  entry: v.InferOutput<typeof EntrySchema>,
  on: string,
): { username: string; password: string } | undefined {
  if (!given(entry.auth)) {
    if (!given(entry.username)) return undefined;
    return { username: entry.username, password: entry.password ?? "" };
  }
  const text = Buffer.from(entry.auth, "base64").toString("utf8");
  const colon = text.indexOf(":");
  if (!/^[A-Za-z0-9+/_-]+=*$/.test(entry.auth.trim()) || colon === -1) {
    throw new OcibundleError("file", `${on}: auth is not a user and a password in base64`, {
      hint: "log in again",
    });
  }
  // Docker has written passwords with zero bytes behind them, and reads them without.
  return {
    username: text.slice(0, colon),
    password: text.slice(colon + 1).replace(/\0+$/, ""),
  };
}

/** What goes under a key of `auths` for a credential. */
export function formatEntry(credential: Credential): Record<string, string> {
  switch (credential.kind) {
    case "password":
      return { auth: base64(`${credential.username}:${credential.password}`) };
    case "refresh":
      return {
        ...(credential.username === undefined ? {} : { auth: base64(`${credential.username}:`) }),
        identitytoken: credential.token,
      };
    case "bearer":
      return { registrytoken: credential.token };
  }
}

const base64 = (text: string): string => Buffer.from(text, "utf8").toString("base64");
