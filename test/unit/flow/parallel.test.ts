import { expect, test } from "bun:test";
import { parallel } from "../../../src/flow/parallel.ts";

const never = new AbortController().signal;

/** Work that ends when it is told to, or when it is stopped. */
const held = (stop: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    stop.addEventListener("abort", () => reject(new Error("stopped")));
  });

test("results come in the order of the items, however long each takes", async () => {
  const results = await parallel([3, 1, 2], 3, never, async (turns) => {
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    return turns * 10;
  });
  expect(results).toEqual([30, 10, 20]);
});

test("no more run at once than allowed, and one where the limit is 0", async () => {
  for (const [limit, most] of [
    [2, 2],
    [0, 1],
  ] as const) {
    let running = 0;
    let seen = 0;
    await parallel([1, 2, 3, 4, 5], limit, never, async () => {
      seen = Math.max(seen, ++running);
      await Promise.resolve();
      running--;
    });
    expect(seen).toBe(most);
  }
});

test("the first failure stops the others, starts no more, and is thrown when all have ended", async () => {
  const began: string[] = [];
  const ended: string[] = [];
  const work = parallel(["slow", "bad", "late"], 2, never, async (item, stop) => {
    began.push(item);
    try {
      if (item === "bad") throw new Error("bad");
      await held(stop);
    } finally {
      ended.push(item);
    }
  });
  expect(await work.catch((error: unknown) => error)).toEqual(new Error("bad"));
  expect(began).toEqual(["slow", "bad"]);
  expect(ended).toEqual(["bad", "slow"]);
});

test("an interruption counts before the failures that it causes", async () => {
  const stopping = new AbortController();
  const reason = new Error("interrupted");
  const work = parallel([1, 2], 2, stopping.signal, (_, stop) => held(stop));
  stopping.abort(reason);
  expect(await work.catch((error: unknown) => error)).toBe(reason);
  const late = parallel([1], 1, stopping.signal, () => Promise.resolve("done"));
  expect(await late.catch((error: unknown) => error)).toBe(reason);
});
