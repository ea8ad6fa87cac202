import { expect, test } from "bun:test";
import { maxRetryAfter, waitBeforeRetry } from "../../../src/retry/backoff.ts";

const policy = { tries: 4, firstWait: 100, longestWait: 250 };

test("waits double from one failure to the next, up to the longest", () => {
  const longest = [1, 2, 3].map((failures) => waitBeforeRetry(failures, 1, policy));
  expect(longest).toEqual([100, 200, 250]);
});

test("leaves half of each wait to chance", () => {
  expect(waitBeforeRetry(1, 0, policy)).toBe(50);
  expect(waitBeforeRetry(1, 0.5, policy)).toBe(75);
});

test("gives up after as many tries as allowed", () => {
  expect(waitBeforeRetry(4, 0.5, policy)).toBeUndefined();
  expect(waitBeforeRetry(7, 0.5, policy)).toBeUndefined();
});

test("waits at least as long as the server asked, up to a limit", () => {
  expect(waitBeforeRetry(1, 0, policy, 70)).toBe(70);
  expect(waitBeforeRetry(1, 0, policy, 20)).toBe(50);
  expect(waitBeforeRetry(1, 0, policy, maxRetryAfter)).toBe(maxRetryAfter);
  expect(waitBeforeRetry(1, 0, policy, maxRetryAfter + 1)).toBeUndefined();
});
