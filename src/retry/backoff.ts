/** How often something is tried, and how long to wait between two attempts. */
export interface RetryPolicy {
  /** Attempts in a row before the failure is final, the first one included. */
  tries: number;
  /** Longest wait before the second attempt, in milliseconds; doubled with each further one. */
  firstWait: number;
  /** No wait of our own choosing is longer, in milliseconds. */
  longestWait: number;
  /**
   * For so many milliseconds a server that was in contact until then is asked again where it can't be reached,
   * however many tries failed; not at all unless given.
   */
  outage?: number | undefined;
}

/** One request, sent again as it is. */
export const requestRetries: RetryPolicy = { tries: 6, firstWait: 500, longestWait: 30_000 };

/** A server that can't be reached: a wrong name is more likely than a bad moment. */
export const unreachableRetries: RetryPolicy = { ...requestRetries, tries: 3 };

/** A server that did not answer in time: each attempt may take a minute. */
export const slowRetries: RetryPolicy = { ...requestRetries, tries: 3 };

/** A transfer that resumes: `tries` counts attempts without a further byte. A registry restarts in a minute. */
export const transferRetries: RetryPolicy = {
  tries: 6,
  firstWait: 500,
  longestWait: 20_000,
  outage: 60_000,
};

/** The waits of an outage, which alone ends them: short, so that its end is soon noticed. */
export const outageRetries: RetryPolicy = { tries: Infinity, firstWait: 1000, longestWait: 5000 };

/** The longest `Retry-After` that is honored, in milliseconds; a longer one makes the failure final. */
export const maxRetryAfter = 5 * 60_000;

/**
 * How long to wait after `failures` failures in a row, in milliseconds. Half of the doubled wait is
 * fixed and half random, so that many clients do not come back at the same moment. `retryAfter`, in
 * milliseconds, is what the server asked for: the wait is at least that long. `random` is in [0, 1).
 * Undefined when the failure is final.
 */
export function waitBeforeRetry(
  failures: number,
  random: number,
  { tries, firstWait, longestWait }: RetryPolicy,
  retryAfter = 0,
): number | undefined {
  if (failures >= tries || retryAfter > maxRetryAfter) return undefined;
  const full = Math.min(firstWait * 2 ** (failures - 1), longestWait);
  return Math.max(retryAfter, Math.round(full / 2 + (full / 2) * random));
}
