import type { OcibundleError } from "../errors.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { EmitEvent } from "../transfer/events.ts";
import { outageRetries, type RetryPolicy, transferRetries, waitBeforeRetry } from "./backoff.ts";

/** When a server last answered or sent something, in milliseconds of the clock; undefined before it did. */
export interface ServerContact {
  at?: number;
}

/** Whose failures are counted, and how long they are waited for. */
export interface RetryCounterOptions {
  /** The item that is transferred, for events. */
  item?: string | undefined;
  emit?: EmitEvent | undefined;
  clock?: Clock | undefined;
  /** `transferRetries` unless given. */
  retries?: RetryPolicy | undefined;
  /** Shared by the transfers of one server; that of this transfer alone unless given. */
  contact?: ServerContact | undefined;
}

/** Counts the failures in a row of one transfer, and waits between its attempts. */
export interface RetryCounter {
  readonly failures: number;
  /** Starts counting again: there was progress. */
  reset(): void;
  /** The server answered or sent something; the count stays. */
  noteContact(): void;
  /** Adds one failure, or several at once. */
  count(weight?: number): void;
  /**
   * Waits as long as the policy says. `unreachable`: why the server can't be reached, which is an outage where it was
   * in contact shortly before. Throws `error` when no attempt is left and no outage is waited for, or the signal's
   * reason.
   */
  wait(error: OcibundleError, signal: AbortSignal, unreachable?: string): Promise<void>;
  /** Waits for the end of an outage at once, without other attempts. Throws as `wait` does. */
  waitOutage(error: OcibundleError, signal: AbortSignal, unreachable: string): Promise<void>;
}

/** The waits of one outage, and the latest of them: after the failure that was number `failures`. */
const noOutage = { failures: 0, waits: 0, wait: 0 };

/** An outage has no more waits than this, should the clock be set back meanwhile. */
const mostWaits = 1000;

/**
 * Counts the failures in a row of one transfer, and waits after each. The caller resets it once there is
 * progress.
 */
export function retryCounter(options: RetryCounterOptions): RetryCounter {
  const { item, emit, clock = systemClock, retries = transferRetries, contact = {} } = options;
  let failures = 0;
  /** When the first of the failures in a row was counted. */
  let since = 0;
  let outage = noOutage;

  const counter: RetryCounter = {
    get failures() {
      return failures;
    },
    reset() {
      failures = 0;
      counter.noteContact();
    },
    noteContact() {
      contact.at = clock.now();
    },
    count(weight = 1) {
      if (failures === 0) {
        since = clock.now();
        outage = noOutage;
      }
      failures += weight;
    },
    async wait(error, signal, unreachable) {
      const milliseconds = waitBeforeRetry(failures, clock.random(), retries);
      if (milliseconds === undefined) {
        if (unreachable === undefined) throw error;
        return counter.waitOutage(error, signal, unreachable);
      }
      const reason = error.message;
      emit?.({ type: "wait", ...(item === undefined ? {} : { item }), milliseconds, reason });
      await clock.sleep(milliseconds, signal);
    },
    async waitOutage(error, signal, unreachable) {
      const { outage: longest = 0 } = retries;
      const wasInContact = contact.at !== undefined && since - contact.at < longest;
      const lasted = clock.now() - since;
      if (!wasInContact || lasted >= longest || outage.waits >= mostWaits) throw error;
      // Requests that failed together wait together.
      if (outage.failures !== failures) {
        const waits = outage.waits + 1;
        const full = waitBeforeRetry(waits, clock.random(), outageRetries) ?? 0;
        outage = { failures, waits, wait: Math.min(full, longest - lasted) };
      }
      // Of no item: all transfers wait for the same.
      const reason = `cannot reach the registry: ${unreachable}`;
      emit?.({ type: "wait", milliseconds: outage.wait, reason });
      await clock.sleep(outage.wait, signal);
    },
  };
  return counter;
}
