/** Failed attempts that all requests of a run may have together. */
const mostFailedTries = 1000;

/** The failed attempts that requests still may have together; each failed attempt takes one. */
export interface RetryBudget {
  readonly allowed: number;
  left: number;
  /** Whether the user was told that none is left. */
  told: boolean;
}

export const retryBudget = (allowed: number = mostFailedTries): RetryBudget => ({
  allowed,
  left: allowed,
  told: false,
});
