import { setTimeout as sleep } from "node:timers/promises";
import { OcibundleError } from "../errors.ts";

/** The longest time that a timer takes, in milliseconds. */
const longestSleep = 2 ** 31 - 1;

/**
 * Waits for `milliseconds`, or until the run is told to end. Says whether it was: by SIGTERM, which is how a
 * service ends. Throws the signal's reason where it is another one.
 */
export async function isTerminated(signal: AbortSignal, milliseconds: number): Promise<boolean> {
  for (let left = milliseconds; left > 0 && !signal.aborted; left -= longestSleep) {
    await sleep(Math.min(left, longestSleep), undefined, { signal }).catch(() => undefined);
  }
  if (!signal.aborted) return false;
  const { reason } = signal as { reason: unknown };
  if (reason instanceof OcibundleError && reason.code === "terminated") return true;
  throw reason;
}
