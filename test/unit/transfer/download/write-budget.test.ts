import { expect, test } from "bun:test";
import { writeBudget } from "../../../../src/transfer/download/write-budget.ts";

/** How long this thread writes in `milliseconds`, where it receives what takes it `cost` to write each millisecond. */
function written(milliseconds: number, cost: number): number {
  const budget = writeBudget(0);
  let sum = 0;
  for (let now = 0; now < milliseconds; now += 1) {
    if (!budget.allows(now)) continue;
    budget.spend(now, now + cost);
    sum += cost;
  }
  return sum;
}

test("this thread writes all of what comes slowly", () => {
  expect(written(1000, 0.2)).toBeCloseTo(200);
});

test("this thread writes for a quarter of its time where more comes", () => {
  expect(written(10_000, 0.8)).toBeGreaterThan(2500);
  expect(written(10_000, 0.8)).toBeLessThan(2525);
});

test("after a write that waited for the disk, others write for four times as long", () => {
  const budget = writeBudget(0);
  budget.spend(0, 520);
  expect(budget.allows(520)).toBe(false);
  expect(budget.allows(1990)).toBe(false);
  expect(budget.allows(2010)).toBe(true);
});

test("a pause saves up no more than a moment's writing", () => {
  const budget = writeBudget(0);
  expect(budget.allows(60_000)).toBe(true);
  budget.spend(60_000, 60_021);
  expect(budget.allows(60_002)).toBe(false);
});
