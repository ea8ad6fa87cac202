import { expect, test } from "bun:test";
import { noteRate, rateTold } from "../../../../src/transfer/upload/first-rate.ts";
import { unknownTraits } from "../../../../src/transfer/upload/registry-traits.ts";

const MiB = 1024 * 1024;

test("the first body goes at once, and others when it has told the rate", async () => {
  const traits = unknownTraits();
  const order: string[] = [];
  await rateTold(traits, 5 * MiB);
  const others = [1, 2].map(async () => {
    await rateTold(traits, 5 * MiB);
    order.push(`rate ${traits.rate}`);
  });
  await rateTold(traits, 1000);
  order.push("a small body");
  noteRate(traits, 1000, 1);
  noteRate(traits, 5 * MiB, 50);
  await Promise.all(others);
  const rate = (5 * MiB) / 50;
  expect(order).toEqual(["a small body", `rate ${rate}`, `rate ${rate}`]);
});

test("nobody waits for a first body that takes long, nor for a rate that was forgotten", async () => {
  const traits = unknownTraits();
  await rateTold(traits, 5 * MiB);
  await rateTold(traits, 5 * MiB);
  expect(traits.rate).toBe(0);
  noteRate(traits, 5 * MiB, 0);
  expect(traits.rate).toBe(5 * MiB);
  traits.rate = 0;
  await rateTold(traits, 5 * MiB);
});
