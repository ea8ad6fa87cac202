import { describe, expect, test } from "bun:test";
import { array, assert, asyncProperty, integer } from "fast-check";
import { readGguf } from "../../../../src/model/tensors/gguf.ts";
import type { TensorFile } from "../../../../src/model/tensors/read-at.ts";
import { readTensors } from "../../../../src/model/tensors/read-tensors.ts";
import { u32, u64 } from "../../../support/tensors/little-endian.ts";
import {
  gguf,
  readerOf,
  safetensors,
  withHeader,
  zip,
  type ZipEntry,
} from "../../../support/tensors/files.ts";

const read = (bytes: Uint8Array): Promise<TensorFile | undefined> =>
  readTensors(readerOf(bytes), bytes.byteLength);

const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(7);

const of = (start: number, end: number) => ({
  dtype: "BF16",
  shape: [5],
  data_offsets: [start, end],
});

describe("tensors are found in", () => {
  test("safetensors, whatever the order of its header", async () => {
    const header = JSON.stringify({
      b: of(10, 30),
      __metadata__: { format: "pt" },
      none: of(10, 10),
      a: of(0, 10),
    });
    const start = 8 + header.length;
    expect(await read(withHeader(header, bytes(30)))).toEqual({
      format: "safetensors",
      header: [{ start: 0, end: start }],
      tensors: [
        { name: "a", dtype: "BF16", shape: [5], start, end: start + 10 },
        { name: "b", dtype: "BF16", shape: [5], start: start + 10, end: start + 30 },
      ],
      empty: [{ name: "none", dtype: "BF16", shape: [5], start: start + 10, end: start + 10 }],
    });
  });

  test("GGUF, whose padding belongs to the tensor before it", async () => {
    const file = gguf(
      [
        { name: "b", values: 40, offset: 64 },
        { name: "a", values: 33, offset: 0 },
        { name: "odd", values: 1, offset: 128, type: 999 },
      ],
      150,
    );
    const start = file.length - 150;
    expect(await read(file)).toEqual({
      format: "gguf",
      header: [{ start: 0, end: start }],
      tensors: [
        { name: "a", dtype: "I8", shape: [33], start, end: start + 64 },
        { name: "b", dtype: "I8", shape: [40], start: start + 64, end: start + 128 },
        { name: "odd", dtype: undefined, shape: [1], start: start + 128, end: start + 150 },
      ],
    });
  });

  test.each([
    ["a zip archive", {}],
    ["one with a directory of 64 bits", { is64: true }],
    ["one with a comment", { comment: "PK\u0005\u0006 is no end" }],
  ])("%s, whose headers are all one header", async (_, options) => {
    const entries = [
      { name: "archive/data.pkl", data: bytes(5) },
      { name: "archive/data/0", data: bytes(100) },
      { name: "archive/empty", data: bytes(0) },
      { name: "archive/data/1", data: bytes(50) },
    ];
    const archive = zip(entries, options);
    const found = await read(archive);
    expect(found?.tensors.map(({ name, start, end }) => [name, end - start])).toEqual([
      ["archive/data.pkl", 5],
      ["archive/data/0", 100],
      ["archive/data/1", 50],
    ]);
    for (const { start, end } of found?.tensors ?? []) {
      expect(archive.subarray(start, end)).toEqual(Buffer.from(bytes(end - start)));
    }
    const all = [...(found?.header ?? []), ...(found?.tensors ?? [])];
    expect(all.reduce((sum, { start, end }) => sum + end - start, 0)).toBe(archive.length);
  });
});

test("the headers of many entries of a zip archive are read together", async () => {
  const entries = Array.from({ length: 1000 }, (_unused, at) => ({
    name: `archive/data/${at}`,
    data: bytes(at === 500 ? 200_000 : 1000),
  }));
  const archive = zip(entries);
  const lengths: number[] = [];
  const readAt = readerOf(archive);
  const found = await readTensors((position, length) => {
    lengths.push(length);
    return readAt(position, length);
  }, archive.byteLength);
  expect(found?.tensors.map(({ name, start, end }) => [name, end - start])).toEqual(
    entries.map(({ name, data }) => [name, data.length]),
  );
  // What the file is, its end, its directory, and two of its headers; the large entry is not read.
  expect(lengths.length).toBe(6);
  expect(Math.max(...lengths)).toBeLessThan(600_000);
});

test("brackets in the names of safetensors are no levels", async () => {
  const name = `${"[{".repeat(100)}\\"]`;
  const header = `{"__metadata__":{"note":"${name}"},${offsets([name, 0, 10]).slice(1)}`;
  const found = await read(withHeader(header, bytes(10)));
  expect(found?.tensors.map((tensor) => tensor.name)).toEqual([JSON.parse(`"${name}"`) as string]);
});

const offsets = (...pairs: [string, number | string, number | string][]): string =>
  `{${pairs.map(([name, start, end]) => `"${name}":{"dtype":"U8","shape":[1],"data_offsets":[${start},${end}]}`).join(",")}}`;

const tensor = { name: "a", values: 64, offset: 0 };

/** A value of GGUF without a name that is a list. */
const listOf = (type: number, count: number, items: Uint8Array): Buffer =>
  Buffer.concat([u64(0), u32(9), u32(type), u64(count), items]);

test("texts of a list in GGUF are passed over, wherever they lie", async () => {
  await assert(
    asyncProperty(
      array(integer({ min: 0, max: 3_000_000 }), { maxLength: 5 }),
      integer({ min: 0, max: 300_000 }),
      async (long, short) => {
        const texts = [
          ...long.map((length) => Buffer.concat([u64(length), Buffer.alloc(length, 0xff)])),
          ...Array.from({ length: short }, () => u64(0)),
          Buffer.concat([u64(7), Buffer.alloc(7, 0xff)]),
        ];
        const list = listOf(8, texts.length, Buffer.concat(texts));
        const file = gguf([tensor], 64, 32, { count: 1, bytes: list });
        expect((await read(file))?.tensors).toMatchObject([{ name: "a", start: file.length - 64 }]);
        const cut = file.subarray(0, file.length - 64 - 64 - 7);
        expect(await read(cut)).toBeUndefined();
      },
    ),
    { numRuns: 20 },
  );
});

const times = (value: string, count: number): string => Array(count).fill(value).join(",");

describe("nothing is found in", () => {
  test.each<[string, string, number]>([
    ["tensors that overlap", offsets(["a", 0, 10], ["b", 9, 20]), 20],
    ["a tensor that ends before it begins", offsets(["a", 10, 0], ["b", 0, 10]), 10],
    ["a tensor beyond the file", offsets(["a", 0, 10], ["b", 10, 2000]), 20],
    ["a tensor at 2^63", offsets(["a", 0, 10], ["b", 10, "9223372036854775808"]), 20],
    ["a tensor at half a byte", offsets(["a", 0, 0.5]), 20],
    ["a tensor at a negative place", offsets(["a", -10, 10]), 20],
    ["a name twice", offsets(["a", 0, 10], ["a", 10, 20]), 20],
    ["a name twice, the second time escaped", offsets(["a", 0, 10], ["\\u0061", 10, 20]), 20],
    ["tensors that leave bytes at the end", offsets(["a", 0, 10]), 20],
    ["tensors that leave bytes at the start", offsets(["a", 10, 20]), 20],
    ["no tensors", "{}", 0],
    ["no tensors but bytes", '{"__metadata__":{}}', 20],
    ["offsets that are text", offsets(["a", '"0"', '"10"']), 10],
    ["a tensor that is a number", '{"a":1}', 10],
    ["a shape of 2^63", offsets(["a", 0, 10]).replace("[1]", "[9223372036854775808]"), 10],
    ["a header that is nested a million times", `{"a":${"[".repeat(1e6)}${"]".repeat(1e6)}}`, 10],
    [
      "metadata nested deeper than any",
      offsets(["a", 0, 10]).replace(
        "{",
        `{"__metadata__":${'{"a":'.repeat(40)}1${"}".repeat(40)},`,
      ),
      10,
    ],
    ["a header that is no JSON", '{"a', 10],
    ["a header that is a list", "[]", 10],
  ])("safetensors with %s", async (_, header, data) => {
    expect(await read(withHeader(header, bytes(data)))).toBeUndefined();
  });

  test("safetensors whose header is said to be 100 MB, without reading it", async () => {
    const start = Buffer.concat([u64(100_000_000), Buffer.from("{")]);
    let most = 0;
    const found = await readTensors((position, length) => {
      most = Math.max(most, length);
      const filled = Buffer.alloc(length, 0x20);
      start.copy(filled, 0, Math.min(position, start.length));
      return Promise.resolve(filled);
    }, 200_000_000);
    expect(found).toBeUndefined();
    expect(most).toBeLessThan(16 * 1024 * 1024);
  });

  test("safetensors whose header has 2^63 bytes", async () => {
    expect(await read(Buffer.concat([u64(2n ** 63n), Buffer.from("{}")]))).toBeUndefined();
  });

  test("safetensors with a million tensors", async () => {
    const many = Array.from({ length: 100_001 }, (_unused, at) => [`t${at}`, bytes(1)] as const);
    expect(await read(safetensors(many))).toBeUndefined();
  });

  const metadata = (values: string): string =>
    offsets(["a", 0, 10]).replace("{", `{"__metadata__":${values},`);
  test.each<[string, number, (count: number) => string]>([
    ["empty objects", 500_000, (count) => `[${times("{}", count)}]`],
    ["numbers", 2_000_000, (count) => `[${times("0", count)}]`],
    [
      "members",
      600_000,
      (count) => `{${Array.from({ length: count }, (_unused, at) => `"${at}":0`).join(",")}}`,
    ],
  ])("safetensors with metadata of too many %s", async (_, limit, values) => {
    // The members, lists and commas of the tensor count as well.
    expect(await read(withHeader(metadata(values(limit - 10)), bytes(10)))).toBeDefined();
    expect(await read(withHeader(metadata(values(limit + 1)), bytes(10)))).toBeUndefined();
  });

  test.each<[string, Buffer]>([
    [
      "tensors that overlap",
      gguf(
        [
          { name: "a", values: 40, offset: 0 },
          { name: "b", values: 1, offset: 32 },
        ],
        64,
      ),
    ],
    ["a tensor beyond the file", gguf([{ name: "a", values: 65, offset: 0 }], 64)],
    [
      "a tensor at 2^63",
      gguf(
        [
          { name: "a", values: 1, offset: 0 },
          { name: "b", values: 1, offset: 2n ** 63n },
        ],
        64,
      ),
    ],
    [
      "a tensor that is not aligned",
      gguf(
        [
          { name: "a", values: 1, offset: 0 },
          { name: "b", values: 1, offset: 33 },
        ],
        64,
      ),
    ],
    [
      "a name twice",
      gguf(
        [
          { name: "a", values: 1, offset: 0 },
          { name: "a", values: 1, offset: 32 },
        ],
        64,
      ),
    ],
    [
      "two tensors in one place",
      gguf(
        [
          { name: "a", values: 1, offset: 0 },
          { name: "b", values: 1, offset: 0 },
        ],
        64,
      ),
    ],
    ["tensors that leave bytes at the start", gguf([{ name: "a", values: 1, offset: 32 }], 64)],
    ["no tensors", gguf([], 64)],
    ["no bytes of tensors", gguf([{ name: "a", values: 1, offset: 0 }], 0)],
    ["an alignment of 0", gguf([{ name: "a", values: 1, offset: 0 }], 64, 0)],
  ])("GGUF with %s", async (_, file) => {
    expect(await read(file)).toBeUndefined();
  });

  test.each<[string, number, (count: number) => Parameters<typeof gguf>]>([
    [
      "values",
      1_000_000 / 2,
      (count) => [[tensor], 64, 32, { count, bytes: Buffer.alloc(13 * count) }],
    ],
    [
      "lists in a list",
      1_000_000,
      (count) => [
        [tensor],
        64,
        32,
        { count: 1, bytes: listOf(9, count, Buffer.alloc(12 * count)) },
      ],
    ],
    [
      "bytes of names",
      16,
      (count) => [
        Array.from({ length: count }, (_unused, at) => ({
          name: `${at + 10}`.repeat(512 * 1024),
          values: 1,
          offset: 32 * at,
        })),
        32 * count,
      ],
    ],
  ])("GGUF with too many %s", async (_, limit, file) => {
    expect(await read(gguf(...file(limit - 4)))).toBeDefined();
    expect(await read(gguf(...file(limit + 1)))).toBeUndefined();
  });

  test("GGUF with a million tensors", async () => {
    const file = gguf([], 10_000_000);
    u64(1_000_000).copy(file, 8);
    let reads = 0;
    const reader = readerOf(file);
    const counted = (position: number, length: number) => {
      reads += 1;
      return reader(position, length);
    };
    expect(await readGguf(counted, file.length)).toBeUndefined();
    expect(reads).toBe(1);
  });

  const entry = (name: string, more: Partial<ZipEntry> = {}): ZipEntry => ({
    name,
    data: bytes(50),
    ...more,
  });

  test.each<[string, Buffer]>([
    ["a compressed entry", zip([entry("a", { method: 8 })])],
    ["an encrypted entry", zip([entry("a", { flags: 1 })])],
    ["a name twice", zip([entry("a"), entry("a")])],
    ["two entries in one place", zip([entry("a"), entry("b", { at: 0 })])],
    ["an entry that reaches into the directory", zip([entry("a", { length: 51 })])],
    ["an entry whose header is elsewhere", zip([entry("a", { at: 3 })])],
    ["an entry whose header is beyond the file", zip([entry("a", { at: 3_000_000_000 })])],
    ["an entry at 2^53", zip([entry("a", { at: 2 ** 53 - 1 })], { is64: true })],
    ["no entries", zip([])],
    ["only empty entries", zip([entry("a", { data: bytes(0) })])],
  ])("a zip archive with %s", async (_, archive) => {
    expect(await read(archive)).toBeUndefined();
  });

  test("what is cut anywhere", async () => {
    const files = [
      safetensors([["a", bytes(50)]]),
      gguf([{ name: "a", values: 50, offset: 0 }], 50),
      zip([entry("a")]),
      zip([entry("a")], { is64: true }),
    ];
    for (const file of files) {
      expect(await read(file)).toBeDefined();
      for (let size = 0; size < file.length; size += 1) {
        expect(await read(file.subarray(0, size))).toBeUndefined();
      }
    }
  });
});
