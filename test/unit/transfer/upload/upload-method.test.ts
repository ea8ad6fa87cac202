import { describe, expect, test } from "bun:test";
import {
  chunkSizes,
  firstChunk,
  isSlow,
  nextChunk,
  smallerChunk,
} from "../../../../src/transfer/upload/chunk-size.ts";
import { unknownTraits } from "../../../../src/transfer/upload/registry-traits.ts";
import {
  afterFailure,
  smallBlob,
  uploadMethods,
} from "../../../../src/transfer/upload/upload-method.ts";

const MiB = 1024 * 1024;

describe("uploadMethods", () => {
  test("sends a small blob with one PUT and a large one in chunks", () => {
    expect(uploadMethods(smallBlob, unknownTraits())[0]).toBe("put");
    expect(uploadMethods(smallBlob + 1, unknownTraits())).toEqual(["chunks", "patch", "put"]);
  });

  test("sends a larger one with one PUT where that takes a moment", () => {
    // 20 MB/s: what takes a second, up to 16 MiB.
    const fast = { ...unknownTraits(), rate: 20_000 };
    expect(uploadMethods(16 * MiB, fast)[0]).toBe("put");
    expect(uploadMethods(16 * MiB + 1, fast)[0]).toBe("chunks");
    const slow = { ...unknownTraits(), rate: 5000 };
    expect(uploadMethods(4_999_999, slow)[0]).toBe("put");
    expect(uploadMethods(5_000_000, slow)[0]).toBe("chunks");
    fast.refused.set("put", "413");
    expect(uploadMethods(16 * MiB, fast)[0]).not.toBe("put");
  });

  test("tries what was refused last, and never not at all", () => {
    const traits = unknownTraits();
    traits.refused.set("chunks", "416");
    expect(uploadMethods(2 ** 40, traits)).toEqual(["patch", "put", "chunks"]);
    traits.refused.set("patch", "405");
    traits.refused.set("put", "413");
    expect(uploadMethods(2 ** 40, traits)).toEqual(["chunks", "patch", "put"]);
  });
});

describe("the size of a chunk", () => {
  test("begins moderately where nothing is known, and by the rate where it is", () => {
    expect(firstChunk(unknownTraits(), undefined)).toBe(chunkSizes.first);
    const fast = { ...unknownTraits(), rate: 1e9 };
    expect(firstChunk(fast, undefined)).toBe(chunkSizes.largest);
    const slow = { ...unknownTraits(), rate: 1000 };
    expect(firstChunk(slow, undefined)).toBe(chunkSizes.smallest);
  });

  test("grows while chunks are quick, stays, and shrinks when they take long", () => {
    const traits = unknownTraits();
    expect(nextChunk(16 * MiB, 100, traits, undefined)).toBe(32 * MiB);
    expect(nextChunk(16 * MiB, 900, traits, undefined)).toBe(16 * MiB);
    expect(nextChunk(16 * MiB, 9000, traits, undefined)).toBe(8 * MiB);
    expect(nextChunk(chunkSizes.largest, 1, traits, undefined)).toBe(chunkSizes.largest);
  });

  test("keeps the registry's minimum and what it has refused", () => {
    expect(firstChunk(unknownTraits(), 300 * MiB)).toBe(300 * MiB);
    expect(nextChunk(16 * MiB, 1, { ...unknownTraits(), largestChunk: 20 * MiB }, undefined)).toBe(
      20 * MiB,
    );
    expect(smallerChunk(64 * MiB, undefined)).toBe(32 * MiB);
    expect(smallerChunk(64 * MiB, 48 * MiB)).toBe(48 * MiB);
    expect(smallerChunk(48 * MiB, 48 * MiB)).toBeUndefined();
    expect(smallerChunk(chunkSizes.smallest, undefined)).toBeUndefined();
  });

  test("goes below 5 MiB only where larger ones are refused", () => {
    const slow = { ...unknownTraits(), rate: 1000 };
    expect(firstChunk({ ...slow, largestChunk: 2.5 * MiB }, undefined)).toBe(2 * MiB);
    expect(firstChunk({ ...slow, largestChunk: 1.25 * MiB }, undefined)).toBe(MiB);
    expect(firstChunk({ ...slow, largestChunk: MiB }, 5 * MiB)).toBe(5 * MiB);
    const sizes = [5 * MiB, 2.5 * MiB, 1.25 * MiB, MiB, undefined];
    for (const [index, next] of sizes.slice(1).entries()) {
      expect(smallerChunk(sizes[index] ?? 0, undefined, chunkSizes.least)).toBe(next);
    }
    expect(smallerChunk(5 * MiB, 5 * MiB, chunkSizes.least)).toBeUndefined();
  });
});

test("a body is counted on its way while the rate is not known, or when it will take long", () => {
  expect(isSlow(16 * MiB, 0)).toBe(true);
  expect(isSlow(16 * MiB, 10)).toBe(true);
  expect(isSlow(16 * MiB, MiB)).toBe(false);
  expect(isSlow(1000, 0)).toBe(false);
});

const after = (method: "put" | "chunks" | "patch", status: number | undefined, repeated = 0) =>
  afterFailure({ method, status, repeated });

describe("afterFailure", () => {
  test("waits when no answer came, or one that may pass", () => {
    for (const status of [undefined, 408, 409, 425, 429, 500, 502, 503, 504]) {
      expect(after("chunks", status)).toBe("wait");
    }
  });

  test("goes on to the next method when a request is not known", () => {
    for (const status of [201, 400, 405, 411, 501])
      expect(after("patch", status)).toBe("next method");
  });

  test("makes chunks smaller and leaves other bodies that are too large", () => {
    expect(after("chunks", 413)).toBe("smaller");
    expect(after("patch", 413)).toBe("next method");
    expect(after("put", 413)).toBe("next method");
  });

  test("asks once where a chunk does not follow", () => {
    expect(after("chunks", 416)).toBe("ask");
    expect(after("chunks", 416, 1)).toBe("next method");
  });

  test("opens a lost session again, twice at most", () => {
    expect(after("chunks", 404)).toBe("restart");
    expect(after("chunks", 404, 1)).toBe("restart");
    expect(after("chunks", 404, 2)).toBe("next method");
  });

  test("takes what is left as final", () => {
    for (const status of [402, 403, 418, 451]) expect(after("chunks", status)).toBe("throw");
  });
});
