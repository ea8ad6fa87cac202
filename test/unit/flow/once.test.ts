import { expect, test } from "bun:test";
import { once } from "../../../src/flow/once.ts";

test("work is done once for all who ask, and again after it failed", async () => {
  let calls = 0;
  const work = once(async (word: string) => {
    calls += 1;
    await Promise.resolve();
    if (calls === 1) throw new Error("failed");
    return `${word} ${calls}`;
  });
  const failed = await Promise.allSettled([work("a"), work("b")]);
  expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(calls).toBe(1);
  expect(await Promise.all([work("c"), work("d")])).toEqual(["c 2", "c 2"]);
  expect(await work("e")).toBe("c 2");
});
