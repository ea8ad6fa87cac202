import { OcibundleError } from "../errors.ts";
import type { Credential } from "./credential.ts";
import { isObject, member } from "./members.ts";

const names = ["auth", "username", "password", "identitytoken", "registrytoken"] as const;

type Entry = Partial<Record<(typeof names)[number], string>>;

/** The credential in an entry of `auths`, undefined where it has none. Throws `file`. */
export function readEntry(json: unknown, on: string): Credential | undefined {
  const entry = parseEntry(json ?? {}, on);
  const basic = readBasic(entry, on);
  if (entry.registrytoken) return { kind: "bearer", token: entry.registrytoken };
  if (entry.identitytoken) {
    return {
      kind: "refresh",
      token: entry.identitytoken,
      ...(basic === undefined || basic.username === "" ? {} : { username: basic.username }),
    };
  }
  if (basic === undefined || basic.username === "") return undefined;
  return { kind: "password", ...basic };
}

function parseEntry(json: unknown, on: string): Entry {
  const fail = (place: string): OcibundleError =>
    new OcibundleError("file", `${on}: ${place}is not valid`);
  if (!isObject(json)) throw fail("");
  const entry: Entry = {};
  for (const name of names) {
    const value = member(json, name);
    if (value === undefined) continue;
    if (typeof value !== "string") throw fail(`${name} `);
    entry[name] = value;
  }
  return entry;
}

function readBasic(entry: Entry, on: string): { username: string; password: string } | undefined {
  if (!entry.auth) {
    return entry.username
      ? { username: entry.username, password: entry.password ?? "" }
      : undefined;
  }
  // Wrapped at 76 columns, in the alphabet of URLs, without padding: all of it is written by somebody.
  const base64 = entry.auth.replaceAll(/\s/g, "");
  const text = Buffer.from(base64, "base64").toString("utf8");
  const colon = text.indexOf(":");
  if (!/^[A-Za-z0-9+/_-]+=*$/.test(base64) || colon === -1) {
    throw new OcibundleError("file", `${on}: auth is not USER:PASSWORD in base64`, {
      hint: "log in again",
    });
  }
  // Docker has written passwords with zero bytes around them, and reads them without.
  return {
    username: text.slice(0, colon),
    password: text.slice(colon + 1).replaceAll(/^\0+|\0+$/g, ""),
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
