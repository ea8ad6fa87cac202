/** What Docker calls its own registry in its files and to its helpers. */
const dockerHubKey = "https://index.docker.io/v1/";

const dockerHub = "docker.io";
const dockerHubNames = new Set([dockerHub, "index.docker.io", "registry-1.docker.io"]);

/** What Docker keeps beside the login itself: tokens that are for Docker's own service. */
const dockerTokens = /\/v1\/(?:access|refresh)-token$/;

const hasScheme = /^https?:\/\//i;

/**
 * A key of `auths` in one form, `host` or `host/path`: schemes, the API's version and slashes at the
 * end go, and Docker's registry has one name.
 */
export function normalizeKey(key: string): string {
  const bare = key
    .trim()
    .replace(hasScheme, "")
    .replace(/\/+$/, "")
    .replace(/\/v[12]$/, "")
    .replace(/\/+$/, "");
  const slash = bare.indexOf("/");
  const host = (slash === -1 ? bare : bare.slice(0, slash)).toLowerCase();
  const path = slash === -1 ? "" : bare.slice(slash);
  return `${dockerHubNames.has(host) ? dockerHub : host}${path}`;
}

/**
 * The host that a URL stands for as a key of `auths`. Docker takes any path behind it; only keys without
 * a scheme name a part of a registry. Undefined for what is no URL.
 */
export function hostOfUrl(key: string): string | undefined {
  if (!hasScheme.test(key.trim()) || dockerTokens.test(key.trim())) return undefined;
  return normalizeKey(key).split("/", 1)[0];
}

/** The keys that speak for a repository, most specific first: `host/a/b`, `host/a`, `host`. */
export function keysFor(host: string, repository: string | undefined): string[] {
  const parts = repository === undefined ? [] : repository.split("/");
  const paths = parts.map((_, index) => parts.slice(0, parts.length - index).join("/"));
  return [...paths.map((path) => normalizeKey(`${host}/${path}`)), normalizeKey(host)];
}

/** What a registry is called to a credential helper and in `auths`, as Docker does it. */
export const storedKey = (host: string): string =>
  normalizeKey(host) === dockerHub ? dockerHubKey : host;
