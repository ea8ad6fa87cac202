import { readFileSync } from "node:fs";

/** What this process has open without any transfer: the runtime's own files, threads and streams. */
const filesOfRuntime = 40;

/** The soft limit in the text of `/proc/self/limits`; undefined where there is none. */
export function parseOpenFileLimit(limits: string): number | undefined {
  const soft = /^Max open files\s+(\d+)\s/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

let known: { limit: number | undefined } | undefined;

/** How many files this process may have open at once; undefined where the system does not tell. */
export function openFileLimit(): number | undefined {
  if (known === undefined) {
    try {
      known = { limit: parseOpenFileLimit(readFileSync("/proc/self/limits", "latin1")) };
    } catch {
      known = { limit: undefined };
    }
  }
  return known.limit;
}

/**
 * How many things to do at once, `wanted` at most and one at least, when each of them takes so many open
 * files: with a low limit (`ulimit -n`) less is done at once, in place of failing.
 */
export function withinOpenFiles(
  wanted: number,
  filesEach: number,
  limit: number | undefined = openFileLimit(),
): number {
  if (limit === undefined) return wanted;
  return Math.max(1, Math.min(wanted, Math.floor((limit - filesOfRuntime) / filesEach)));
}
