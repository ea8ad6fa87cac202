import { createHash, timingSafeEqual } from "node:crypto";
import { OcibundleError } from "../../../errors.ts";

/** The one who may use a registry. */
export interface Account {
  username: string;
  password: string;
}

/** Reads `USER:PASS`. Throws `usage`; the message does not repeat it. */
export function parseAccount(text: string): Account {
  const colon = text.indexOf(":");
  if (colon < 1 || colon === text.length - 1) {
    throw new OcibundleError("usage", "--auth is not of the form USER:PASS", {
      hint: "specify a name and a password, such as --auth me:secret",
    });
  }
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

const hash = (text: string): Uint8Array => createHash("sha256").update(text).digest();

/** Whether two secrets are the same, in a time that says nothing about where they differ. */
export const sameSecret = (a: string, b: string): boolean => timingSafeEqual(hash(a), hash(b));

/** Who an `Authorization: Basic` names (RFC 7617); undefined where it is none. */
export function basicAccount(header: string | null): Account | undefined {
  const encoded = /^basic +([a-z0-9+/=]+)$/i.exec(header ?? "")?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  if (colon < 0) return undefined;
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** Whether a user and a password are those of the account, compared in constant time. */
export const isAccount = (found: Account | undefined, { username, password }: Account): boolean =>
  found !== undefined &&
  sameSecret(`${found.username}:${found.password}`, `${username}:${password}`);
