import { describe, expect, test } from "bun:test";
import { createMisses } from "../../../../src/model/serve/misses.ts";
import { NotOnHub, TooManyMisses } from "../../../../src/serve/hub-source.ts";

const missing = () => Promise.reject(new NotOnHub("model", "none"));

describe("what is not there", () => {
  test("is not asked for again for a while", async () => {
    let now = 0;
    const misses = createMisses(30_000, () => now);
    let asked = 0;
    const ask = () =>
      misses.run("a", () => {
        asked += 1;
        return missing();
      });
    await expect(ask()).rejects.toThrow("none");
    await expect(ask()).rejects.toThrow("none");
    expect(asked).toBe(1);
    now = 10_001;
    await expect(ask()).rejects.toThrow("none");
    expect(asked).toBe(2);
  });

  test("is asked for so often a minute, whatever it is called", async () => {
    let now = 0;
    const misses = createMisses(30_000, () => now);
    for (let count = 0; count < 300; count += 1) {
      await expect(misses.run(String(count), missing)).rejects.toThrow("none");
    }
    await expect(misses.run("more", missing)).rejects.toBeInstanceOf(TooManyMisses);
    now = 60_000;
    await expect(misses.run("more", missing)).rejects.toThrow("none");
    expect(await misses.run("there", () => Promise.resolve(1))).toBe(1);
  });

  test("does not keep from others what was there before", async () => {
    const misses = createMisses(30_000, () => 0);
    expect(await misses.run("there", () => Promise.resolve(1))).toBe(1);
    for (let count = 0; count < 300; count += 1) {
      await expect(misses.run(String(count), missing)).rejects.toThrow("none");
    }
    await expect(misses.run("new", () => Promise.resolve(1))).rejects.toBeInstanceOf(TooManyMisses);
    expect(await misses.run("there", () => Promise.resolve(2))).toBe(2);
  });

  test("is no failure of a network", async () => {
    const misses = createMisses(30_000, () => 0);
    await expect(misses.run("a", () => Promise.reject(new Error("down")))).rejects.toThrow("down");
    expect(await misses.run("a", () => Promise.resolve(1))).toBe(1);
  });
});
