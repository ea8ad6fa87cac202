import { expect, test } from "bun:test";
import { diskReads } from "../../../../src/model/serve/disk-reads.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import type { DirectReader } from "../../../../src/runtime/direct-reader.ts";

const MiB = 1024 * 1024;
const block = MiB / 2;
const size = 32 * MiB;
const whole = { start: 0, end: size };
const opened = { file: 7, name: digestOf("a file"), size };

/** A disk on which each block has its own number in each byte. */
function disk(length = size) {
  const told = { open: 0, reads: [] as number[] };
  const direct = (): DirectReader => {
    told.open += 1;
    return {
      read(bytes, position) {
        told.reads.push(position);
        bytes.fill(position / block);
        return Promise.resolve(Math.max(0, Math.min(bytes.length, length - position)));
      },
      close() {
        told.open -= 1;
      },
    };
  };
  return { told, direct };
}

const nothingCached = () => 0;

/** How many bytes of the whole file an answer gets past the page cache, from the start on. */
async function passedBy(reads: ReturnType<typeof diskReads>, file = opened): Promise<number> {
  const reader = reads.begin(file, whole);
  let at = 0;
  while (at < size) {
    const bytes = await reader.read(at);
    if (bytes === undefined) break;
    at += bytes.length;
  }
  reader.end();
  return at;
}

test("the first client gets a file past the page cache, and later ones through it", async () => {
  const { told, direct } = disk();
  const reads = diskReads(nothingCached, direct);
  expect(await passedBy(reads)).toBe(size);
  expect(told.reads).toEqual(Array.from({ length: size / block }, (_, index) => index * block));
  expect(await passedBy(reads)).toBe(0);
  expect(await passedBy(reads, { ...opened, name: digestOf("another") })).toBe(size);
  reads.renew(opened.name);
  expect(await passedBy(reads)).toBe(size);
  expect(told.open).toBe(0);
});

test("from the moment on when a second one reads it, both get it through the page cache", async () => {
  const { direct } = disk();
  const reads = diskReads(nothingCached, direct);
  const first = reads.begin(opened, whole);
  expect(await first.read(0)).toHaveLength(block);
  const second = reads.begin(opened, whole);
  expect(await second.read(0)).toBeUndefined();
  expect(await first.read(block)).toBeUndefined();
  second.end();
  expect(await first.read(2 * block)).toHaveLength(block);
  first.end();
});

test("what one that went away had read is read through the page cache by the next", async () => {
  const { direct } = disk();
  const reads = diskReads(nothingCached, direct);
  const first = reads.begin(opened, whole);
  for (let at = 0; at < 3 * block; at += block) await first.read(at);
  first.end();
  expect(await passedBy(reads)).toBe(size - 3 * block);
});

test("what is in the page cache is read from there, block by block", async () => {
  const { told, direct } = disk();
  const asked: number[][] = [];
  const reads = diskReads((...args) => {
    asked.push(args);
    return args[1] === block ? 0.49 : 0.5;
  }, direct);
  const reader = reads.begin(opened, whole);
  expect(await reader.read(0)).toBeUndefined();
  expect(await reader.read(block)).toHaveLength(block);
  expect(await reader.read(2 * block + 5)).toBeUndefined();
  reader.end();
  expect(asked).toEqual([0, 1, 2].map((n) => [7, n * block, (n + 1) * block]));
  expect(told.reads).toEqual([block]);
});

test("a range has its own bytes, whole blocks are read, and two pieces are there at once", async () => {
  const { told, direct } = disk();
  const reads = diskReads(nothingCached, direct);
  const end = 40 * block - 3;
  const reader = reads.begin(opened, { start: 1000, end });
  const first = await reader.read(1000);
  const second = await reader.read(block);
  expect(first).toHaveLength(block - 1000);
  expect(first?.every((byte) => byte === 0)).toBe(true);
  expect(second?.every((byte) => byte === 1)).toBe(true);
  expect(await reader.read(end - 7)).toEqual(new Uint8Array(7).fill(39));
  expect(told.reads).toEqual([0, block, 39 * block]);
  reader.end();
});

test("a short range, and all where the page cache can't be asked, goes through it", async () => {
  const { told, direct } = disk();
  const short = diskReads(nothingCached, direct).begin(opened, { start: 0, end: 16 * MiB - 1 });
  expect(await short.read(0)).toBeUndefined();
  short.end();
  expect(await passedBy(diskReads(undefined, direct))).toBe(0);
  expect(await passedBy(diskReads(() => undefined, direct))).toBe(0);
  expect(told).toEqual({ open: 0, reads: [] });
});

test("where a file can't be read past the page cache, or is shorter than it was, that is not tried again", async () => {
  let opens = 0;
  const none = diskReads(nothingCached, () => void (opens += 1)).begin(opened, whole);
  expect(await none.read(0)).toBeUndefined();
  expect(await none.read(0)).toBeUndefined();
  expect(opens).toBe(1);
  none.end();

  const { told, direct } = disk(block + 10);
  const cut = diskReads(nothingCached, direct).begin(opened, whole);
  expect(await cut.read(block)).toHaveLength(10);
  expect(await cut.read(block + 10)).toBeUndefined();
  expect(await cut.read(0)).toBeUndefined();
  expect(told.reads).toEqual([block, block]);
  cut.end();

  let reads = 0;
  const refused: DirectReader = {
    read: () => Promise.resolve(void (reads += 1)),
    close() {},
  };
  const failing = diskReads(nothingCached, () => refused).begin(opened, whole);
  expect(await failing.read(0)).toBeUndefined();
  expect(await failing.read(0)).toBeUndefined();
  expect(reads).toBe(1);
  failing.end();
});

test("many answers at once share the memory of four", async () => {
  const { told, direct } = disk();
  const reads = diskReads(nothingCached, direct);
  const begin = (index: number) => reads.begin({ ...opened, name: digestOf(`${index}`) }, whole);
  const readers = Array.from({ length: 6 }, (_, index) => begin(index));
  const lengths = await Promise.all(readers.map(async (one) => (await one.read(0))?.length));
  expect(lengths).toEqual([block, block, block, block, undefined, undefined]);
  readers[0]?.end();
  expect(await readers[5]?.read(0)).toHaveLength(block);
  for (const reader of readers.slice(1)) reader.end();
  expect(told.open).toBe(0);
});
