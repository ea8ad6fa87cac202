import type { OcibundleError } from "../../errors.ts";
import { outageReason } from "../../registry/outage.ts";
import { retryCounter, type RetryCounterOptions } from "../../retry/retry-counter.ts";
import type { Flight } from "./flight.ts";
import type { PartialFile } from "./partial-file.ts";

/** Less than this between two failures, in bytes, is no progress: a server may give a few bytes each time. */
const progressBytes = 64 * 1024;

/** A request that failed before its first byte has been tried several times by the client already. */
const unansweredWeight = 3;

/** The failures in a row of one blob's requests. */
export interface RangeFailures {
  readonly inARow: number;
  /** Starts counting again. */
  reset(): void;
  /** The registry answered; the count stays. */
  noteContact(): void;
  /** Counts a failure and waits before another try. Throws `error` when there is none, or the signal's reason. */
  wait(flight: Flight, error: OcibundleError, signal: AbortSignal): Promise<void>;
}

/**
 * Counts the failures of all ranges of one blob together; enough bytes written since the last one start
 * the count anew.
 */
export function rangeFailures(
  { written }: PartialFile,
  options: RetryCounterOptions,
): RangeFailures {
  const counter = retryCounter(options);
  let failedAt = 0;
  let bytesAtFailure = written.bytes;
  return {
    get inARow() {
      return counter.failures;
    },
    reset: () => counter.reset(),
    noteContact: () => counter.noteContact(),
    async wait(flight, error, signal) {
      const { bytes } = written;
      if (bytes - bytesAtFailure >= progressBytes) counter.reset();
      // Connections that break together are one failure.
      if (counter.failures === 0 || flight.startedAt >= failedAt) {
        counter.count(flight.answered ? 1 : unansweredWeight);
        failedAt = performance.now();
        bytesAtFailure = bytes;
      }
      await counter.wait(error, signal, outageReason(error));
    },
  };
}
