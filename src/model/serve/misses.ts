import { NotOnHub, TooManyMisses } from "../../serve/hub-source.ts";
import { OcibundleError } from "../../errors.ts";
import { dropOldest } from "../../flow/drop-oldest.ts";

/** Requests to a registry a minute for what is not there. */
const mostMisses = 300;
const minute = 60_000;

/** What was not there is not asked for again for so long, in milliseconds. */
const remembered = 10_000;
const mostRemembered = 1000;

/** Keeps clients from searching a registry through this server. */
export interface Misses {
  /** Runs `work`, which asks the registry for what `key` names. Throws what it throws, {@link TooManyMisses}. */
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
}

const isMiss = (error: unknown): boolean =>
  error instanceof NotOnHub ||
  (error instanceof OcibundleError && (error.code === "not_found" || error.code === "denied"));

/** `refresh`: how long what is known is believed, in milliseconds. */
export function createMisses(refresh: number, now = () => performance.now()): Misses {
  const known = new Map<string, { error: unknown; until: number }>();
  /** Keys of what was there: who asks for it is not refused because others ask for what is not. */
  const found = new Set<string>();
  let count = 0;
  let since = now();
  return {
    async run(key, work) {
      const miss = known.get(key);
      if (miss !== undefined && now() < miss.until) throw miss.error;
      known.delete(key);
      if (now() - since >= minute) {
        count = 0;
        since = now();
      }
      if (count >= mostMisses && !found.has(key)) {
        throw new TooManyMisses(Math.max(1, Math.ceil((since + minute - now()) / 1000)));
      }
      try {
        const result = await work();
        found.delete(key);
        found.add(key);
        dropOldest(found, mostRemembered);
        return result;
      } catch (error) {
        if (isMiss(error)) {
          count += 1;
          found.delete(key);
          known.set(key, { error, until: now() + Math.min(remembered, refresh) });
          dropOldest(known, mostRemembered);
        }
        throw error;
      }
    },
  };
}
