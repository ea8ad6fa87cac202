/** How often a transfer that gets nowhere is tried again, and how long it waits in between. */
export interface RetryPolicy {
  /** Tries in a row without a further byte before the failure is final, the first one included. */
  tries: number;
  /** Longest wait before the second try, in milliseconds; doubled with each further one. */
  firstWait: number;
  /** No wait of our own making is longer, in milliseconds. */
  longestWait: number;
}

export const transferRetries: RetryPolicy = { tries: 6, firstWait: 500, longestWait: 20_000 };

/**
 * How long to wait after `failures` failures in a row, in milliseconds: half of the doubled wait for
 * certain, the other half by chance, so that many clients do not come back at the same moment.
 * Undefined when the failure is final.
 */
export function waitBeforeRetry(
  failures: number,
  random: number,
  policy: RetryPolicy,
): number | undefined {
  if (failures >= policy.tries) return undefined;
  const full = Math.min(policy.firstWait * 2 ** (failures - 1), policy.longestWait);
  return Math.round(full / 2 + (full / 2) * random);
}
