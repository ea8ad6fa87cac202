import { expect, test } from "bun:test";
import { noteRate, takeTurn } from "../../../../src/transfer/upload/first-rate.ts";
import { unknownTraits } from "../../../../src/transfer/upload/registry-traits.ts";

const MiB = 1024 * 1024;

test("the first to take a turn goes at once, and others when it has told the rate", async () => {
  const traits = unknownTraits();
  const order: string[] = [];
  const first = takeTurn(traits, 5 * MiB);
  const others = [1, 2].map(async () => {
    await takeTurn(traits, 5 * MiB).told();
    order.push(`rate ${traits.rate}`);
  });
  await first.told();
  await takeTurn(traits, 1000).told();
  order.push("a small body");
  noteRate(traits, 1000, 1);
  noteRate(traits, 5 * MiB, 50);
  await Promise.all(others);
  const rate = (5 * MiB) / 50;
  expect(order).toEqual(["a small body", `rate ${rate}`, `rate ${rate}`]);
});

test("nobody waits for a first body that takes long, nor for a rate that was forgotten", async () => {
  const traits = unknownTraits();
  await takeTurn(traits, 5 * MiB).told();
  await takeTurn(traits, 5 * MiB).told();
  expect(traits.rate).toBe(0);
  noteRate(traits, 5 * MiB, 0);
  expect(traits.rate).toBe(5 * MiB);
  traits.rate = 0;
  await takeTurn(traits, 5 * MiB).told();
});

test("nobody waits for a first body that was mounted, or failed", async () => {
  const traits = unknownTraits();
  const first = takeTurn(traits, 5 * MiB);
  const order: string[] = [];
  const other = takeTurn(traits, 5 * MiB)
    .told()
    .then(() => order.push("other"));
  order.push("end");
  first.end();
  await other;
  expect(order).toEqual(["end", "other"]);
});
