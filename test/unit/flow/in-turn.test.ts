import { expect, test } from "bun:test";
import { inTurn } from "../../../src/flow/in-turn.ts";

test("work of one key is done in turn, beside that of others, and a failure ends none but itself", async () => {
  const turns = inTurn<object>(3);
  const [one, other] = [{}, {}];
  const said: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = turns.run(one, async () => {
    await gate.promise;
    said.push("first");
    throw new Error("first failed");
  });
  const second = turns.run(one, async () => void said.push("second"));
  await turns.run(other, async () => void said.push("other"));
  expect(turns.waiting(one)).toBe(2);
  gate.resolve();
  await expect(first).rejects.toThrow("first failed");
  await second;
  expect(said).toEqual(["other", "first", "second"]);
  expect(turns.waiting(one)).toBe(0);
});

test("more than so many are not taken", async () => {
  const turns = inTurn<object>(2);
  const key = {};
  const gate = Promise.withResolvers<void>();
  const taken = [1, 2].map(() => turns.run(key, () => gate.promise));
  expect(turns.run(key, () => gate.promise)).toBeUndefined();
  gate.resolve();
  await Promise.all(taken);
  await turns.run(key, () => Promise.resolve());
});
