import { describe, expect, test } from "bun:test";
import { rangeInFile } from "../../../../src/runtime/part-places.ts";
import {
  areUsable,
  chooseNumbers,
  isSplit,
  numbersFor,
  partsOfFile,
} from "../../../../src/model/parts/tree-numbers.ts";
import { fixedParts, treeParts } from "../../../../src/model/parts/tree.ts";
import {
  decoder,
  fileOf,
  modelL,
  shapes,
  type Sized,
} from "../../../support/tensors/model-shapes.ts";

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

const toSplit = (tensors: readonly Sized[]) => {
  const file = fileOf(tensors);
  return { size: file.size, tensors: file };
};

describe("tree/1 cuts", () => {
  test.each([
    ["Qwen2.5-7B", 204, 1],
    ["Llama-3.1-8B", 230, 1],
    ["Llama-3.1-8B, GGUF Q4_K_M", 228, 1],
    ["Qwen3-32B", 456, 1],
    ["Llama-3.1-70B", 450, 64],
    ["Mixtral-8x7B", 408, 128],
    ["Qwen3-30B-A3B", 445, 128],
    ["Llama-3.1-405B", 288, 2048],
  ] as const)("%s into %d parts", (name, parts, least) => {
    const file = toSplit(shapes[name]());
    const numbers = chooseNumbers([file]);
    expect(numbers).toEqual({
      least: least * mebibyte,
      most: Math.max(512, 2 * least) * mebibyte,
    });
    expect(partsOfFile(file, numbers)).toHaveLength(parts);
  });

  test("a model of a gigabyte finer", () => {
    const tensors = modelL();
    expect(tensors).toHaveLength(291);
    expect(tensors.reduce((sum, [, bytes]) => sum + bytes, 0)).toBe(1_003_882_496);
    const file = toSplit(tensors);
    expect(chooseNumbers([file]).least).toBe(128 * kibibyte);
    const numbers = { least: 128 * kibibyte, most: 64 * mebibyte };
    expect(partsOfFile(file, numbers)).toHaveLength(228);
  });

  test("every byte into one part", () => {
    const file = toSplit(shapes["Mixtral-8x7B"]());
    const extents = partsOfFile(file, chooseNumbers([file]))
      .flatMap((places) => Array.from(places, rangeInFile))
      .toSorted((a, b) => a.start - b.start);
    expect(extents.every(({ start }, at) => start === (extents[at - 1]?.end ?? 0))).toBe(true);
    expect(extents.at(-1)?.end).toBe(file.size);
  });
});

const numbers = { least: mebibyte, most: 8 * mebibyte };
const sizesOf = (tensors: readonly Sized[]): number[] =>
  treeParts(fileOf(tensors, 100), numbers).map((part) =>
    part.reduce((sum, { start, end }) => sum + end - start, 0),
  );

describe("by the rule", () => {
  test("a tensor that is too large is cut at multiples, so that appended rows leave the first pieces", () => {
    const table = (rows: number) => sizesOf([["table", rows * mebibyte]]);
    expect(table(17)).toEqual([100, 8 * mebibyte, 8 * mebibyte, mebibyte]);
    expect(table(18)).toEqual([100, 8 * mebibyte, 8 * mebibyte, 2 * mebibyte]);
  });

  test("small tensors are one part, in the order of the file", () => {
    const half = mebibyte / 2;
    expect(
      sizesOf([
        ["a.norm", 10],
        ["a.weight", mebibyte],
        ["b.norm", half],
      ]),
    ).toEqual([100, mebibyte, 10 + half]);
  });

  test("tensors between are collected by module, then by what is above it", () => {
    const many = { least: 4 * mebibyte, most: 8 * mebibyte };
    const file = fileOf(
      ["m.0.q.w", "m.0.k.w", "m.1.q.w", "m.1.k.w", "x"].map((name) => [name, 1.5 * mebibyte]),
      100,
    );
    const parts = treeParts(file, many).map((part) => part.length);
    // Three of m, then the fourth with the one beside it.
    expect(parts).toEqual([1, 3, 2]);
  });

  test("the pool is cut at 64 MiB", () => {
    const tensors = Array.from({ length: 129 }, (_, at): Sized => [`t${at}`, mebibyte / 2]);
    expect(sizesOf([...tensors].map(([name]) => [name, mebibyte - 1]))).toHaveLength(1 + 3);
  });

  test("a name of dots is no tree without end", () => {
    const name = ".".repeat(100_000);
    expect(
      treeParts(fileOf([[name, 4 * mebibyte]], 1), { least: 8 * mebibyte, most: 8 * mebibyte }),
    ).toHaveLength(2);
  });

  test("what has no tensors is cut into pieces of an eighth of most", () => {
    expect(fixedParts(2.5 * mebibyte, numbers).map(([piece]) => piece)).toEqual([
      { start: 0, end: mebibyte },
      { start: mebibyte, end: 2 * mebibyte },
      { start: 2 * mebibyte, end: 2.5 * mebibyte },
    ]);
  });
});

describe("which files are split", () => {
  test("those of tensors from 64 MiB on, others from 256 MiB on", () => {
    const tensors = fileOf([["a", 1]]);
    expect(isSplit({ size: 64 * mebibyte, tensors })).toBe(true);
    expect(isSplit({ size: 64 * mebibyte - 1, tensors })).toBe(false);
    expect(isSplit({ size: 256 * mebibyte, tensors: undefined })).toBe(true);
    expect(isSplit({ size: 256 * mebibyte - 1, tensors: undefined })).toBe(false);
  });

  test("several files share the numbers, and the layers beside them", () => {
    const shape = {
      hidden: 4096,
      inter: 14336,
      layers: 32,
      heads: 32,
      keys: 8,
      vocabulary: 128256,
    };
    const file = toSplit(decoder(shape));
    const two = [file, file];
    expect(chooseNumbers(two).least).toBe(mebibyte);
    expect(chooseNumbers(two, { others: 30 }).least).toBeGreaterThan(mebibyte);
    expect(chooseNumbers([file], { layers: 100 }).least).toBeGreaterThan(mebibyte);
  });

  test("numbers that are given stay unless they make more layers than are wanted", () => {
    const file = toSplit(shapes["Llama-3.1-8B"]());
    const given = { least: mebibyte, most: 512 * mebibyte };
    expect(numbersFor([file], given, {})).toBe(given);
    expect(numbersFor([file], given, { layers: 230 })).toBe(given);
    const fewer = numbersFor([file], given, { layers: 100 });
    expect(partsOfFile(file, fewer).length).toBeLessThanOrEqual(100);
    expect(fewer.least).toBeGreaterThan(mebibyte);
  });

  test("numbers that are given and make a piece of each byte are not used", () => {
    const given = { least: 1, most: 1 };
    for (const tensors of [undefined, fileOf([["a", 8 * 1024 * mebibyte]])]) {
      const file = { size: 8 * 1024 * mebibyte, tensors };
      expect(areUsable(file, given)).toBe(false);
      expect(areUsable(file, { least: mebibyte, most: mebibyte })).toBe(true);
      expect(numbersFor([file], given, {}).most).toBe(512 * mebibyte);
    }
  });

  test("a file of another format of a terabyte has pieces that are few enough", () => {
    const file = { size: 2 ** 40, tensors: undefined };
    expect(partsOfFile(file, chooseNumbers([file])).length).toBeLessThanOrEqual(480);
  });
});
