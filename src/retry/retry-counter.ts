import type { OcibundleError } from "../errors.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { EmitEvent } from "../transfer/events.ts";
import { type RetryPolicy, transferRetries, waitBeforeRetry } from "./backoff.ts";

/** Whose failures are counted, and how long they are waited for. */
export interface RetryCounterOptions {
  /** The item that is transferred, for events. */
  item?: string | undefined;
  emit?: EmitEvent | undefined;
  clock?: Clock | undefined;
  /** `transferRetries` unless given. */
  retries?: RetryPolicy | undefined;
}

/** Counts the failures in a row of one transfer, and waits between its attempts. */
export interface RetryCounter {
  readonly failures: number;
  /** Starts counting again: there was progress. */
  reset(): void;
  /** Adds one failure, or several at once. */
  count(weight?: number): void;
  /** Waits as long as the policy says. Throws `error` when no attempt is left, or the signal's reason. */
  wait(error: OcibundleError, signal: AbortSignal): Promise<void>;
}

/**
 * Counts the failures in a row of one transfer, and waits after each. The caller resets it once there is
 * progress.
 */
export function retryCounter(options: RetryCounterOptions): RetryCounter {
  const { item, emit, clock = systemClock, retries = transferRetries } = options;
  let failures = 0;
  return {
    get failures() {
      return failures;
    },
    reset() {
      failures = 0;
    },
    count(weight = 1) {
      failures += weight;
    },
    async wait(error, signal) {
      const milliseconds = waitBeforeRetry(failures, clock.random(), retries);
      if (milliseconds === undefined) throw error;
      const reason = error.message;
      emit?.({ type: "wait", ...(item === undefined ? {} : { item }), milliseconds, reason });
      await clock.sleep(milliseconds, signal);
    },
  };
}
