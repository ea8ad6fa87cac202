import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { OcibundleError } from "../errors.ts";
import { hostName, isLoopback } from "../http/message/loopback.ts";
import { printableUrl } from "../http/message/message.ts";

/** How far an address reaches: everywhere, one's own networks, this machine and what is attached to it. */
type Reach = "public" | "private" | "local";

const blockList = (networks: readonly string[]): BlockList => {
  const list = new BlockList();
  for (const network of networks) {
    const [start = "", bits = ""] = network.split("/");
    list.addSubnet(start, Number(bits), isIP(start) === 6 ? "ipv6" : "ipv4");
  }
  return list;
};

// RFC 6890 and its registries.
const localNetworks = blockList(
  "0.0.0.0/8 127.0.0.0/8 169.254.0.0/16 ::/127 fe80::/10 fd00:ec2::/32".split(" "),
);
const privateNetworks = blockList(
  (
    "10.0.0.0/8 100.64.0.0/10 172.16.0.0/12 192.0.0.0/24 192.168.0.0/16 198.18.0.0/15 224.0.0.0/3 " +
    "fc00::/7 fec0::/10 ff00::/8"
  ).split(" "),
);

/** The reach of an IP address; an IPv4 address inside of an IPv6 one counts as itself. */
export function reachOf(address: string): Reach {
  const bare = address.replace(/%.*$/, "");
  const inner = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1] ?? mapped(bare);
  const at = inner ?? bare;
  const family = isIP(at) === 6 ? "ipv6" : "ipv4";
  if (localNetworks.check(at, family)) return "local";
  return privateNetworks.check(at, family) ? "private" : "public";
}

/** `::ffff:7f00:1` and `64:ff9b::7f00:1` are 127.0.0.1. */
function mapped(address: string): string | undefined {
  const [, high, low] = /^(?:::ffff:|64:ff9b::)([\da-f]{1,4}):([\da-f]{1,4})$/i.exec(address) ?? [];
  if (high === undefined || low === undefined) return undefined;
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [a >> 8, a & 255, b >> 8, b & 255].join(".");
}

/** The addresses of a host name; rejects where there are none. */
export type Resolve = (name: string) => Promise<readonly string[]>;

const systemResolve: Resolve = async (name) =>
  (await lookup(name, { all: true })).map(({ address }) => address);

const narrowest = (addresses: readonly string[]): Reach => {
  const reaches = new Set(addresses.map(reachOf));
  return reaches.has("local") ? "local" : reaches.has("private") ? "private" : "public";
};

/** The narrowest reach that the addresses of a host have. A name without an address is left to the request. */
async function reachOfHost(host: string, resolve: Resolve): Promise<Reach> {
  const name = hostName(host);
  if (isLoopback(name) || /(?:^|\.)localhost\.?$/i.test(name)) return "local";
  if (isIP(name) !== 0) return reachOf(name);
  return narrowest(await resolve(name).catch(() => []));
}

const rank: Readonly<Record<Reach, number>> = { public: 0, private: 1, local: 2 };

const placeOf = (reach: Reach): string =>
  reach === "local" ? "this machine" : "a private network";

/** How far in the hosts of a run may be; a name that stands for other addresses later is judged again. */
export interface ReachRule {
  /**
   * Refuses a redirect that leads further in than where it comes from: from a public address to a private one, and
   * from either to this machine or what is attached to it, such as a cloud's metadata service. Another port of
   * the same host is as far in as the first. Throws `network`.
   */
  checkRedirect(from: URL, to: URL): Promise<void>;
  /** Refuses to connect to a name that has moved further in since it was judged. Throws `network`. */
  checkAddresses(name: string, addresses: readonly string[]): void;
}

/** The rule of one run: which hosts a redirect may lead to (docs/sources.md). */
export function createReachRule(resolve: Resolve = systemResolve): ReachRule {
  /** By name: how far in it may be. */
  const allowed = new Map<string, Reach>();
  const allow = (name: string, reach: Reach): void => {
    const before = allowed.get(name);
    if (before === undefined || rank[reach] < rank[before]) allowed.set(name, reach);
  };
  return {
    async checkRedirect(from, to) {
      if (from.hostname === to.hostname) return;
      const [source, target] = [
        await reachOfHost(from.host, resolve),
        await reachOfHost(to.host, resolve),
      ];
      if (rank[target] <= rank[source] && !isLinkLocal(to)) {
        allow(hostName(to.host), source);
        return;
      }
      throw new OcibundleError(
        "network",
        `${printableUrl(from)}: redirects to ${to.host}, an address of ${placeOf(target)}`,
        { hint: "use that URL directly if it is correct" },
      );
    },
    checkAddresses(name, addresses) {
      const reach = narrowest(addresses);
      // A name that nobody redirected to may be wherever it is at first.
      const most = allowed.get(name) ?? reach;
      allow(name, most);
      if (rank[reach] <= rank[most]) return;
      throw new OcibundleError(
        "network",
        `${name} now resolves to an address of ${placeOf(reach)}, unlike before`,
        { hint: "check DNS; use a URL with the address itself if it is correct" },
      );
    },
  };
}

/** Where a machine finds its own credentials: nothing redirects there in good faith. */
const isLinkLocal = ({ host }: URL): boolean => /^(?:169\.254\.|\[fe80:|\[fd00:ec2:)/i.test(host);
