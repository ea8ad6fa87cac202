/** Failed attempts that all requests of a run may have together. */
const mostFailedTries = 1000;

/** The failed attempts that requests still may have together; each failed attempt takes one. */
export interface RetryBudget {
  readonly allowed: number;
  left: number;
  /** Whether the user was told that none is left. */
  told: boolean;
  /** Of a server, which has no end: when it is full again, every so many milliseconds. */
  renewal?: { every: number; next: number } | undefined;
}

/** `renewedEvery`: milliseconds after which all of it is left again. */
export const retryBudget = (
  allowed: number = mostFailedTries,
  renewedEvery?: number,
): RetryBudget => ({
  allowed,
  left: allowed,
  told: false,
  renewal: renewedEvery === undefined ? undefined : { every: renewedEvery, next: 0 },
});

/** Fills a budget again whose time has come; `now` in milliseconds. */
export function renewBudget(budget: RetryBudget, now: number): void {
  const { renewal } = budget;
  if (renewal === undefined || now < renewal.next) return;
  renewal.next = now + renewal.every;
  budget.left = budget.allowed;
  budget.told = false;
}
