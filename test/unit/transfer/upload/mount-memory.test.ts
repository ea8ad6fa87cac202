import { describe, expect, test } from "bun:test";
import {
  askSources,
  type MountAnswer,
  type MountMemory,
} from "../../../../src/transfer/upload/mount-memory.ts";

const sources = Array.from({ length: 8 }, (_, index) => `acme/source-${index}`);

/** Asks for blobs one after the other, or `atOnce` of them; what was asked, and which blobs were mounted. */
async function push(
  blobs: readonly (readonly string[])[],
  answer: (from: string, blob: number) => MountAnswer,
  { atOnce = 1, memory = new Map() as MountMemory, isFree = true } = {},
) {
  const asked: string[] = [];
  const mounted = new Set<number>();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < blobs.length) {
      const blob = next++;
      const ask = async (from: string) => {
        asked.push(from);
        await Promise.resolve();
        return answer(from, blob);
      };
      const found = await askSources(memory, blobs[blob] ?? [], ask, { isFree });
      if (found) mounted.add(blob);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return { asked, mounted };
}

const blobs = (count: number, from: readonly string[] = sources) =>
  Array.from({ length: count }, () => from);

describe("a registry that never mounts", () => {
  test("is asked for each blob only in the request that opens its upload", async () => {
    const { asked } = await push(blobs(110), () => "declined");
    // All eight for three blobs, and three for the fourth.
    expect(asked.length).toBe(110 + 3 * 7 + 2);
  });

  test("is asked little more often by twelve uploads at once", async () => {
    const { asked } = await push(blobs(110), () => "declined", { atOnce: 12 });
    expect(asked.length).toBeLessThanOrEqual(110 + 30);
  });

  test("is not asked any more for blobs that need no session", async () => {
    const { asked } = await push(blobs(110), () => "declined", { isFree: false });
    expect(asked.length).toBe(3 * 8 + 3);
    const one = await push(blobs(110, ["acme/only"]), () => "declined", { isFree: false });
    expect(one.asked.length).toBe(4);
  });

  test("and refuses to is not asked any more", async () => {
    const { asked } = await push(blobs(110), () => "refused");
    expect(asked.length).toBe(3 * 8 + 3);
    const one = await push(blobs(110, ["acme/only"]), () => "refused");
    expect(one.asked.length).toBe(4);
  });
});

describe("a registry that mounts", () => {
  test("is asked once for each blob that the first source has", async () => {
    const { asked, mounted } = await push(blobs(110), (from) =>
      from === sources[0] ? "mounted" : "declined",
    );
    expect(asked.length).toBe(110);
    expect(mounted.size).toBe(110);
  });

  test("is asked first for the source that gave the blob before", async () => {
    const last = sources.at(-1);
    const { asked, mounted } = await push(blobs(110), (from) =>
      from === last ? "mounted" : "declined",
    );
    expect(mounted.size).toBe(110);
    expect(asked.length).toBe(110 + 7);
  });

  test("mounts what an only source has behind many blobs that it lacks", async () => {
    const { mounted } = await push(blobs(110, ["acme/base"]), (_, blob) =>
      blob < 100 ? "declined" : "mounted",
    );
    expect(mounted.size).toBe(10);
  });

  test("mounts from the second source what a base in front of it never has", async () => {
    for (const atOnce of [1, 12]) {
      const { asked, mounted } = await push(
        blobs(110, ["acme/base", "acme/seen"]),
        (from) => (from === "acme/seen" ? "mounted" : "declined"),
        { atOnce },
      );
      expect(mounted.size).toBe(110);
      expect(asked.length).toBeLessThanOrEqual(110 + 12);
    }
  });
});

test("a failure to reach the registry says nothing of a source", async () => {
  const memory: MountMemory = new Map();
  await push(blobs(20, ["acme/base"]), () => undefined, { memory });
  expect(memory.size).toBe(0);
});
