import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";

/** A host as in a `Host` header: its name in lower case, without the port; undefined where it is none. */
export function hostName(header: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(header.trim());
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}

/** A host as users name it: as in a header, or an IPv6 address without brackets. Undefined where it is none. */
export const namedHost = (text: string): string | undefined =>
  isIP(text) === 6 ? text.toLowerCase() : hostName(text);

/** Whether a host is this machine, and nothing that a name server could say otherwise of. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));

/** Addresses that stand for all of a machine's. */
const isUnspecified = (address: string): boolean => address === "0.0.0.0" || address === "::";

/**
 * Which `Host` headers are answered: a page of another site, whose name a hostile server lets stand for
 * 127.0.0.1, must not read models through a browser (DNS rebinding). An address can't be rebound. `names` are as
 * `namedHost` gives them; on whatever port, since proxies and services forward from others.
 */
export function hostCheck(
  address: string,
  names: readonly string[],
): (header: string | undefined) => boolean {
  const allowed = new Set([address.toLowerCase(), ...names]);
  return (header) => {
    const host = header === undefined ? undefined : hostName(header);
    if (host === undefined) return false;
    return isLoopback(host) || allowed.has(host) || (isUnspecified(address) && isIP(host) !== 0);
  };
}

const hashed = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Whether an `Authorization` header has the token; compared in the same time wherever the two differ. */
export function tokenCheck(token: string | undefined): (header: string | undefined) => boolean {
  if (token === undefined) return () => true;
  const wanted = hashed(token);
  return (header) => {
    const given = /^Bearer +(\S+) *$/i.exec(header ?? "")?.[1] ?? "";
    return timingSafeEqual(hashed(given), wanted);
  };
}
