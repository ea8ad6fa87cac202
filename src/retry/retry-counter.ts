import type { OcibundleError } from "../errors.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { EmitEvent } from "../transfer/events.ts";
import { type RetryPolicy, transferRetries, waitBeforeRetry } from "./backoff.ts";

export interface PatienceOptions {
  /** The item that is waited for. */
  item?: string | undefined;
  emit?: EmitEvent | undefined;
  clock?: Clock | undefined;
  retries?: RetryPolicy | undefined;
}

/** Counts the failures in a row of one transfer, and waits between its tries. */
export interface Patience {
  readonly failures: number;
  /** There was progress: the next failure is the first one again. */
  renew(): void;
  /** One more failure, or several at once. */
  count(weight?: number): void;
  /** Waits as long as the policy says. Throws `error` when it says no more, or the signal's reason. */
  wait(error: OcibundleError, signal: AbortSignal): Promise<void>;
}

export function patience(options: PatienceOptions): Patience {
  const { item, emit, clock = systemClock, retries = transferRetries } = options;
  let failures = 0;
  return {
    get failures() {
      return failures;
    },
    renew() {
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
