import { expect, test } from "bun:test";
import { rangeSet } from "../../../../src/transfer/download/range-set.ts";

test("ranges that touch or overlap become one", () => {
  const set = rangeSet();
  set.add({ start: 10, end: 20 });
  set.add({ start: 30, end: 40 });
  expect(set.ranges).toEqual([
    { start: 10, end: 20 },
    { start: 30, end: 40 },
  ]);
  set.add({ start: 20, end: 30 });
  expect(set.ranges).toEqual([{ start: 10, end: 40 }]);
  set.add({ start: 5, end: 100 });
  expect(set.ranges).toEqual([{ start: 5, end: 100 }]);
  expect(set.bytes).toBe(95);
});

test("an empty range is nothing", () => {
  const set = rangeSet();
  set.add({ start: 7, end: 7 });
  expect(set.ranges).toEqual([]);
});

test("the front is the end of what begins with the first byte", () => {
  const set = rangeSet([{ start: 5, end: 9 }]);
  expect(set.front).toBe(0);
  set.add({ start: 0, end: 5 });
  expect(set.front).toBe(9);
});

test("what is missing of a range is what lies between", () => {
  const set = rangeSet([
    { start: 10, end: 20 },
    { start: 30, end: 40 },
  ]);
  expect(set.missing({ start: 0, end: 50 })).toEqual([
    { start: 0, end: 10 },
    { start: 20, end: 30 },
    { start: 40, end: 50 },
  ]);
  expect(set.missing({ start: 12, end: 18 })).toEqual([]);
  expect(set.missing({ start: 15, end: 35 })).toEqual([{ start: 20, end: 30 }]);
});
