import { BlockList, isIP } from "node:net";
import { hostName, isLoopback } from "./loopback.ts";

/** The environment's variables. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy to reach `url` through, by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY in either
 * case, or undefined for none. This machine is never reached through one.
 */
export function proxyFor(url: URL, env: Environment): string | undefined {
  const get = (name: string): string | undefined =>
    nonEmpty(env[name.toLowerCase()]) ?? nonEmpty(env[name]);
  const proxy = get(url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY") ?? get("ALL_PROXY");
  if (proxy === undefined || isLoopback(url.host)) return undefined;
  if (isExcluded(url, get("NO_PROXY") ?? "")) return undefined;
  return proxy.includes("://") ? proxy : `http://${proxy}`;
}

const nonEmpty = (value: string | undefined): string | undefined =>
  value === undefined || value === "" ? undefined : value;

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
