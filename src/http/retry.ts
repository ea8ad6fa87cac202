import { discard } from "./message/body.ts";
import { httpFailureOf } from "./message/failure.ts";
import type { EmitHttpEvent, HttpResponse, Repeatable, Send } from "./message/message.ts";
import { askedToWait } from "./message/retry-after.ts";
import { waitBeforeRetry } from "../retry/backoff.ts";
import { renewBudget, type RetryBudget, retryBudget } from "../retry/budget.ts";
import type { Clock } from "../retry/clock.ts";
import { askedWait, type AttemptResult, isAskedBack, requestPolicy } from "../retry/transient.ts";

/** What retries of one host share. */
export interface RetryOptions {
  /** For messages. */
  host: string;
  clock: Clock;
  /** Gets each wait, and one warning when the budget is used up. */
  emit: EmitHttpEvent;
  /** Failed attempts that its requests share with those of others; a full budget of its own unless given. */
  budget?: RetryBudget | undefined;
}

/** Decides after each failed attempt, and waits. */
export interface Retrier {
  /**
   * Waits until it is time for the next attempt; false when there is none. Throws when interrupted.
   * `attempt` is the number of attempts so far.
   */
  pause(
    attempt: number,
    result: AttemptResult,
    repeatable: Repeatable,
    reason: string,
    signal: AbortSignal,
  ): Promise<boolean>;
}

/** Applies the pure policy with a budget and a clock, and reports each wait. */
export function retrier({ host, clock, emit, budget = retryBudget() }: RetryOptions): Retrier {
  return {
    async pause(attempt, result, repeatable, reason, signal) {
      if (repeatable === "never") return false;
      const isLimit = repeatable === "limited" && "status" in result && result.status === 429;
      if (repeatable !== "always" && !isLimit && !isAskedBack(result)) return false;
      const policy = requestPolicy(result);
      if (policy === undefined) return false;
      const milliseconds = waitBeforeRetry(attempt, clock.random(), policy, askedWait(result));
      if (milliseconds === undefined) return false;
      renewBudget(budget, clock.now());
      if (budget.left === 0) {
        // Once, and not where there never was one.
        if (!budget.told && budget.allowed > 0) {
          const message = `${host}: ${budget.allowed} tries failed in this run; requests are no longer retried`;
          emit({ type: "warning", message });
        }
        budget.told = true;
        return false;
      }
      budget.left--;
      emit({ type: "wait", milliseconds, reason: `${host}: ${reason}` });
      await clock.sleep(milliseconds, signal);
      return true;
    },
  };
}

/** Sends a request again that failed and may be repeated. The caller gets the last answer or error. */
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
        status === 429 ? "too many requests (429)" : `the server answered ${status}`,
        request.signal,
      );
      if (!again) return response;
      await discard(response);
    }
  };
