import { expect, test } from "bun:test";
import { withCheckedAddress } from "../../../../src/http/message/checked-address.ts";

test("a look-up is not waited for after the run has ended", async () => {
  const url = new URL("http://localhost:1/model");
  const stop = new AbortController();
  let judged = 0;
  const asked = withCheckedAddress(url, () => (judged += 1), stop.signal);
  const reason = new Error("interrupted");
  stop.abort(reason);
  expect(await asked.catch((error: unknown) => error)).toBe(reason);
  expect(judged).toBe(0);
  const again = withCheckedAddress(url, () => (judged += 1), stop.signal);
  expect(await again.catch((error: unknown) => error)).toBe(reason);
});
