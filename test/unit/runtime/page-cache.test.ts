import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { runtime } from "../../../src/runtime/current.ts";
import { cachedShareWith, type MemoryCalls } from "../../../src/runtime/page-cache.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const block = 512 * 1024;

test.skipIf(process.platform !== "linux")(
  "what was just written is in the page cache, and a hole that nobody has read is not",
  async () => {
    const share = await runtime.cachedShare();
    const file = await open(join(await temporaryDirectory(), "file"), "w+");
    await file.write(randomBytes(block / 2));
    await file.truncate(2 * block);
    expect(share?.(file.fd, 0, block / 2)).toBe(1);
    expect(share?.(file.fd, 0, block)).toBe(0.5);
    expect(share?.(file.fd, block, 2 * block)).toBe(0);
    expect(share?.(-1, 0, block)).toBeUndefined();
    await file.close();
  },
);

/** A system whose pages have a size in bytes, with some of them in the page cache. */
function system(pageBytes: number, cached: readonly number[]) {
  const mapped = new Set<number>();
  const calls: MemoryCalls<number> = {
    mmap(...args) {
      expect(args).toEqual([block, 0, 1, 5, 3 * block]);
      mapped.add(4096);
      return 4096;
    },
    mincore(address, length, pages) {
      expect([mapped.has(address), length]).toEqual([true, block]);
      // What else the bytes have is undefined.
      for (let page = 0; page < length / pageBytes; page += 1)
        pages[page] = cached.includes(page) ? 1 : 0;
      return 0;
    },
    munmap: (address) => (mapped.delete(address) ? 0 : -1),
    isAddress: (address) => address !== -1,
  };
  return { calls, mapped };
}

test("pages may be larger than the smallest", () => {
  for (const [pageBytes, pages] of [
    [4096, 128],
    [16_384, 32],
    [65_536, 8],
  ] as const) {
    const { calls, mapped } = system(pageBytes, [0, pages - 1]);
    expect(cachedShareWith(() => calls)?.(5, 3 * block, 4 * block)).toBe(2 / pages);
    expect(mapped.size).toBe(0);
  }
});

test("where the system does not tell, nothing is said, and nothing stays mapped", () => {
  const { calls, mapped } = system(4096, []);
  const refused = { ...calls, mincore: () => -1 };
  expect(cachedShareWith(() => refused)?.(5, 3 * block, 4 * block)).toBeUndefined();
  expect(mapped.size).toBe(0);
  const unmapped = { ...calls, mmap: () => -1 };
  expect(cachedShareWith(() => unmapped)?.(5, 3 * block, 4 * block)).toBeUndefined();
});

test("another C library is looked for, and there may be none", () => {
  const { calls } = system(4096, [1]);
  const load = (library: string): MemoryCalls<number> => {
    if (library.includes("musl-aarch64")) return calls;
    throw new Error(`there is no ${library}`);
  };
  expect(cachedShareWith(load)?.(5, 3 * block, 4 * block)).toBe(1 / 128);
  expect(
    cachedShareWith(() => {
      throw new Error("none");
    }),
  ).toBeUndefined();
});
