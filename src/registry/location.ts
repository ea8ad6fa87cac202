import { OcibundleError } from "../errors.ts";

/** A location longer than this is none. */
const maxLength = 16 * 1024;

/**
 * Reads the `Location` of an upload: relative or absolute, its query kept. A registry behind a proxy
 * that ends TLS may name itself with http: the same host is spoken to as before. Throws `network`.
 */
export function resolveLocation(location: string | null, base: URL, on: string): URL {
  const fail = (why: string): OcibundleError =>
    new OcibundleError("network", `${on}: the registry ${why}`, {
      hint: "report this to the registry's operator",
    });
  if (location === null || location === "") throw fail("sent no location for an upload");
  if (location.length > maxLength || !URL.canParse(location, base)) {
    throw fail("sent an invalid location for an upload");
  }
  const url = new URL(location, base);
  url.hash = "";
  url.username = "";
  url.password = "";
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw fail("sent an upload location that is not an http URL");
  }
  if (base.protocol === "https:" && url.protocol === "http:") {
    if (url.hostname !== base.hostname)
      throw fail(`redirects an upload from https to http://${url.host}`);
    url.protocol = "https:";
    url.port = base.port;
  }
  return url;
}

/** The location with the digest at the end of its query, which is else left as it is. */
export function withDigest(location: URL, digest: string): URL {
  const url = new URL(location);
  const separator = url.search === "" ? "?" : "&";
  url.search = `${url.search}${separator}digest=${encodeURIComponent(digest)}`;
  return url;
}
