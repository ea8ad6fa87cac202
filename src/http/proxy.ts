import { BlockList, isIP } from "node:net";
import { OcibundleError } from "../errors.ts";
import { hostName, isLoopback } from "./message/loopback.ts";

/** The environment's variables. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A proxy, and the variable that names it. */
export interface Proxy {
  url: string;
  /** For messages, which never show the URL: it may hold a password. */
  variable: string;
}

/**
 * The proxy to reach `url` through, by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY in either
 * case, or undefined for none. This machine is never reached through one. Throws `usage` for one that
 * speaks neither http nor https.
 */
export function findProxy(url: URL, env: Environment): Proxy | undefined {
  const get = (name: string): { variable: string; value: string } | undefined => {
    const variable = [name.toLowerCase(), name].find((key) => isSet(env[key]));
    return variable === undefined ? undefined : { variable, value: env[variable] ?? "" };
  };
  const found = get(url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY") ?? get("ALL_PROXY");
  if (found === undefined || isLoopback(url.host)) return undefined;
  if (isExcluded(url, get("NO_PROXY")?.value ?? "")) return undefined;
  const { variable, value } = found;
  const proxy = value.includes("://") ? value : `http://${value}`;
  const hint = `use http://HOST:PORT, or add ${url.host} to NO_PROXY`;
  const fail = (why: string): never => {
    throw new OcibundleError("usage", `${variable}: ${why}`, { hint });
  };
  if (!URL.canParse(proxy)) return fail("not a valid proxy URL");
  const { protocol } = new URL(proxy);
  if (protocol === "http:" || protocol === "https:") return { url: proxy, variable };
  return fail(`proxies of type "${protocol.slice(0, -1)}" are not supported`);
}

/** The URL of {@link findProxy}'s proxy. */
export const proxyFor = (url: URL, env: Environment): string | undefined =>
  findProxy(url, env)?.url;

const isSet = (value: string | undefined): boolean => value !== undefined && value !== "";

/**
 * NO_PROXY: names that match themselves and what is below them, each
 * optionally with a port, and networks as `10.0.0.0/8`; `*` is all.
 */
function isExcluded(url: URL, list: string): boolean {
  const name = hostName(url.host).toLowerCase();
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  return list.split(/[\s,]+/).some((entry) => {
    if (entry === "") return false;
    if (entry === "*") return true;
    if (entry.includes("/")) return isInNetwork(name, entry);
    // Without brackets the end of an address looks like a port.
    if (isIP(entry) === 6) return isInNetwork(name, `${entry}/128`);
    const wantedPort = /^[^:]*:(\d+)$|^\[.*\]:(\d+)$/.exec(entry);
    const wanted = wantedPort === null ? undefined : (wantedPort[1] ?? wantedPort[2]);
    if (wanted !== undefined && wanted !== port) return false;
    const suffix = hostName(entry)
      .toLowerCase()
      .replace(/^\*?\./, "");
    return name === suffix || name.endsWith(`.${suffix}`);
  });
}

/** Whether an address is in a network written as `10.0.0.0/8`. */
function isInNetwork(address: string, network: string): boolean {
  const [start = "", prefix = ""] = network.split("/");
  const family = isIP(start);
  const bits = /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.POSITIVE_INFINITY;
  if (family === 0 || family !== isIP(address) || bits > (family === 4 ? 32 : 128)) return false;
  const type = family === 4 ? "ipv4" : "ipv6";
  const list = new BlockList();
  list.addSubnet(start, bits, type);
  return list.check(address, type);
}
