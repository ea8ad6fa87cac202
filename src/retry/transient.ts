import type { HttpFailure } from "../http/message/failure.ts";

/** How often a request is sent, the first time included. */
export const maxAttempts = 6;

/** How often, when nothing can be reached: it is rather a wrong name than a bad moment. */
export const maxUnreachableAttempts = 3;

/** How often, when a server was waited for in vain: each try may take a minute. */
export const maxSlowAttempts = 3;

/** The pause after the first failure, in milliseconds; it doubles from one to the next. */
export const firstPause = 500;

/** The longest pause of our own choosing, in milliseconds. */
export const maxPause = 30_000;

/** The longest `Retry-After` that is waited for, in milliseconds; beyond, the run fails and says so. */
export const maxRetryAfter = 5 * 60_000;

/** Failed tries that all requests of a run may have together. */
const mostFailedTries = 1000;

/** What is left of the failed tries that requests may have together; counted down by who fails. */
export interface RetryBudget {
  readonly allowed: number;
  left: number;
  /** Whether it was said that none is left. */
  told: boolean;
}

export const retryBudget = (allowed: number = mostFailedTries): RetryBudget => ({
  allowed,
  left: allowed,
  told: false,
});

/** What happened to a try. */
export type Seen = { status: number; retryAfter: number | undefined } | { failure: HttpFailure };

/** Statuses that may pass by themselves. */
export const isTransientStatus = (status: number): boolean =>
  status === 408 || status === 425 || status === 429 || (status >= 500 && status !== 501);

/** Whether trying again may help at all. */
function isTransient(seen: Seen): boolean {
  if ("status" in seen) return isTransientStatus(seen.status);
  const { kind, brokeOff } = seen.failure;
  return kind === "tls" ? brokeOff : kind !== "protocol";
}

/** Whether the server did nothing and named a time to come back: fit for what may not be done twice. */
export const isAskedBack = (seen: Seen): boolean =>
  "status" in seen && (seen.status === 429 || seen.status === 503) && seen.retryAfter !== undefined;

function mostAttempts(seen: Seen): number {
  if ("status" in seen) return maxAttempts;
  const { kind } = seen.failure;
  if (["name", "refused", "unconnected", "proxy", "tls"].includes(kind))
    return maxUnreachableAttempts;
  return kind === "timeout" || kind === "stalled" ? maxSlowAttempts : maxAttempts;
}

/**
 * How long to pause before the next try, in milliseconds, or undefined to give up: doubling pauses,
 * half of each random so that many clients do not come back together, or as long as the server said.
 * `attempt` is the number of tries so far, `random` in [0, 1).
 */
export function pauseBefore(attempt: number, seen: Seen, random: number): number | undefined {
  if (!isTransient(seen)) return undefined;
  if (attempt >= mostAttempts(seen)) return undefined;
  const asked = "status" in seen ? seen.retryAfter : seen.failure.retryAfter;
  const own = Math.min(maxPause, firstPause * 2 ** (attempt - 1)) * (0.5 + random / 2);
  if (asked === undefined) return own;
  return asked > maxRetryAfter ? undefined : Math.max(asked, own);
}
