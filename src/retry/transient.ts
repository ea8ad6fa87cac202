import type { HttpFailure } from "../http/message/failure.ts";
import { requestRetries, type RetryPolicy, slowRetries, unreachableRetries } from "./backoff.ts";

/*
 * Which failures are retried. How long to wait is in backoff.ts.
 */

/** Statuses below 500 that may pass, by what was asked. */
const transientStatuses = {
  request: new Set([408, 425, 429]),
  // 409 and 423: the registry has not noticed yet that the previous attempt's connection is gone.
  upload: new Set([408, 409, 423, 425, 429]),
} as const satisfies Record<string, ReadonlySet<number>>;

/**
 * Whether the same request may succeed a moment later. `status` is undefined when no answer came.
 * `upload` is a request to an upload session, whose state another attempt may still hold.
 */
export const isTransient = (
  status: number | undefined,
  asked: keyof typeof transientStatuses = "request",
): boolean =>
  status === undefined || (status >= 500 && status !== 501) || transientStatuses[asked].has(status);

/** How one attempt at a request failed: `retryAfter` in milliseconds, as the server asked. */
export type AttemptResult =
  | { status: number; retryAfter: number | undefined }
  | { failure: HttpFailure };

/** Whether the server did nothing and named a time to come back: safe for what must not be done twice. */
export const isAskedBack = (result: AttemptResult): boolean =>
  "status" in result &&
  (result.status === 429 || result.status === 503) &&
  result.retryAfter !== undefined;

/** What a server asked to wait, in milliseconds. */
export const askedWait = (result: AttemptResult): number | undefined =>
  "status" in result ? result.retryAfter : result.failure.retryAfter;

/** Whether no connection came about, so that the server can't have seen the request. */
export function isUnreachable({ kind, brokeOff }: HttpFailure): boolean {
  switch (kind) {
    case "name":
    case "refused":
    case "unconnected":
    case "proxy":
      return true;
    case "tls":
      return brokeOff;
    default:
      return false;
  }
}

/** The policy for a request that failed, or undefined when another attempt can't help. */
export function requestPolicy(result: AttemptResult): RetryPolicy | undefined {
  if ("status" in result) return isTransient(result.status) ? requestRetries : undefined;
  if (isUnreachable(result.failure)) return unreachableRetries;
  switch (result.failure.kind) {
    case "timeout":
    case "stalled":
      return slowRetries;
    case "reset":
    case "status":
      return requestRetries;
    default:
      return undefined;
  }
}
