import { lookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { hostName } from "./loopback.ts";

/**
 * Judges the addresses that a name stands for now, before a connection is made to one of them: a name may stand
 * for others than when it was looked up last. Throws for those that are not to be connected to.
 */
export type CheckAddresses = (name: string, addresses: readonly string[]) => void;

/** A look-up for sockets, whose addresses are the ones that were judged. */
export const checkedLookup =
  (check: CheckAddresses): LookupFunction =>
  (name, options, callback) => {
    lookup(name, { ...options, all: true }, (error, found) => {
      const [first] = found ?? [];
      if (error !== null || first === undefined) {
        callback(error, []);
        return;
      }
      try {
        check(
          name,
          found.map(({ address }) => address),
        );
      } catch (refused) {
        callback(refused as NodeJS.ErrnoException, []);
        return;
      }
      if (options.all === true) callback(null, found);
      else callback(null, first.address, first.family);
    });
  };

/**
 * A URL of plain HTTP with an address that was judged in place of its name, and the `Host` that it is asked for by: for
 * clients that look names up themselves. Rejects with what `check` throws, errors of the look-up, and the signal's
 * reason at once: a look-up can't be ended.
 */
export async function withCheckedAddress(
  url: URL,
  check: CheckAddresses,
  signal: AbortSignal,
): Promise<{ url: URL; headers: Record<string, string> }> {
  const name = hostName(url.host);
  if (isIP(name) !== 0) return { url, headers: {} };
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason);
    signal.addEventListener("abort", aborted, { once: true });
    checkedLookup(check)(name, { all: false }, (error, address) => {
      signal.removeEventListener("abort", aborted);
      if (error !== null || typeof address !== "string") {
        reject(error ?? new Error("no address"));
        return;
      }
      const at = new URL(url);
      at.hostname = isIP(address) === 6 ? `[${address}]` : address;
      resolve({ url: at, headers: { host: url.host } });
    });
  });
}
