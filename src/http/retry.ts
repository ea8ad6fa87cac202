import { discard } from "./message/body.ts";
import { httpFailureOf } from "./message/failure.ts";
import type { EmitHttpEvent, HttpResponse, Repeatable, Send } from "./message/message.ts";
import { askedToWait } from "./message/retry-after.ts";
import {
  isAskedBack,
  pauseBefore,
  type RetryBudget,
  retryBudget,
  type Seen,
} from "../retry/transient.ts";

/** What a retry policy takes from the world, handed in so that tests need no waiting. */
export interface Patience {
  /** Milliseconds since the epoch. */
  now: () => number;
  /** In [0, 1). */
  random: () => number;
  /** Rejects with the signal's reason when it is aborted. */
  sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

export interface RetryOptions {
  host: string;
  patience: Patience;
  emit: EmitHttpEvent;
  /** Failed tries that its requests have together with those of others; a full budget of its own unless given. */
  budget?: RetryBudget | undefined;
}

/** Decides after each failed try, and waits. */
export interface Retrier {
  /**
   * Waits until it is time for the next try; false when there is none. Throws when interrupted.
   * `attempt` is the number of tries so far.
   */
  pause(
    attempt: number,
    seen: Seen,
    repeatable: Repeatable,
    reason: string,
    signal: AbortSignal,
  ): Promise<boolean>;
}

/** The pure policy with its budget, its clock and its voice. */
export function retrier({ host, patience, emit, budget = retryBudget() }: RetryOptions): Retrier {
  return {
    async pause(attempt, seen, repeatable, reason, signal) {
      if (repeatable === "never") return false;
      if (repeatable === "asked" && !isAskedBack(seen)) return false;
      const milliseconds = pauseBefore(attempt, seen, patience.random());
      if (milliseconds === undefined) return false;
      if (budget.left === 0) {
        // Once, and not where there never was one.
        if (!budget.told && budget.allowed > 0) {
          const message = `${host}: ${budget.allowed} tries have failed in this run; no more are made`;
          emit({ type: "warning", message });
        }
        budget.told = true;
        return false;
      }
      budget.left--;
      emit({ type: "wait", milliseconds: Math.round(milliseconds), reason: `${host}: ${reason}` });
      await patience.sleep(milliseconds, signal);
      return true;
    },
  };
}

/** Sends again what failed and may be sent again. The last answer or error is what the caller gets. */
export const retry =
  (next: Send, { pause }: Retrier, now: () => number): Send =>
  async (request) => {
    for (let attempt = 1; ; attempt++) {
      let response: HttpResponse;
      try {
        response = await next(request);
      } catch (error) {
        const failure = httpFailureOf(error);
        if (failure === undefined || request.signal.aborted) throw error;
        const { repeatable, signal } = request;
        if (await pause(attempt, { failure }, repeatable, failure.message, signal)) continue;
        throw error;
      }
      const { status } = response;
      if (status < 400) return response;
      const retryAfter = askedToWait(response.headers, now());
      const again = await pause(
        attempt,
        { status, retryAfter },
        request.repeatable,
        status === 429 ? "too many requests (429)" : `the registry answered ${status}`,
        request.signal,
      );
      if (!again) return response;
      await discard(response);
    }
  };
