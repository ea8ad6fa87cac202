import type { FaultFilter } from "./fault.ts";

/** Whether a fault happens to a request; `taken`: another one does already. */
export type FaultMatcher = (request: Request, taken: boolean) => boolean;

/** Says it of each request in turn. What was counted is remembered. */
export function faultMatcher(filter: FaultFilter): FaultMatcher {
  const chance = seeded(filter.seed);
  let fitting = -filter.after;
  let happened = 0;
  return (request, taken) => {
    if (!fits(filter, request)) return false;
    fitting += 1;
    if (taken || fitting < 1) return false;
    if (filter.nth !== undefined && fitting !== filter.nth) return false;
    if (filter.every !== undefined && fitting % filter.every !== 0) return false;
    if (filter.times !== undefined && happened >= filter.times) return false;
    // Drawn for each request that came so far: the same seed gives the same run.
    if (filter.probability !== undefined && chance() >= filter.probability) return false;
    happened += 1;
    return true;
  };
}

const fits = ({ methods, path, ranged }: FaultFilter, { method, url, headers }: Request): boolean =>
  (methods === undefined || methods.includes(method)) &&
  (path === undefined || path.test(new URL(url).pathname)) &&
  (ranged === undefined || headers.has("Range") === ranged);

/** Numbers from 0 up to 1, the same for the same seed: xorshift32. */
function seeded(seed: number): () => number {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) | 0;
  if (state === 0) state = 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
