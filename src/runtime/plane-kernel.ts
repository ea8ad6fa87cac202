import type { PlaneWidth } from "./byte-planes.ts";

// Planes by vectors of 16 bytes: a module of WebAssembly, put together here from its instructions. A vector takes a
// quarter of the time that words take in JavaScript.

/** Where a block and its planes lie in the memory of a kernel, in bytes; each has room up to a multiple of 64. */
export interface KernelLayout {
  block: number;
  /** Of each plane. */
  planes: readonly number[];
  /** Of all of it. */
  size: number;
}

/** Splits and merges so many elements, at least one; up to 15 more that lie behind them are taken along. */
export interface Kernel {
  memory: ArrayBuffer;
  split(elements: number): void;
  merge(elements: number): void;
}

const pageBytes = 64 * 1024;

/** A kernel with memory of its own, or undefined where this machine has no vectors. */
export function startKernel(layout: KernelLayout): Kernel | undefined {
  const code = kernelCode(layout);
  if (typeof WebAssembly === "undefined" || !WebAssembly.validate(code)) return undefined;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code));
  const { memory, split, merge } = exports;
  if (!(memory instanceof WebAssembly.Memory)) return undefined;
  if (typeof split !== "function" || typeof merge !== "function") return undefined;
  return {
    memory: memory.buffer,
    split: (elements) => void split(elements),
    merge: (elements) => void merge(elements),
  };
}

type Code = readonly number[];

/** A number as instructions have it: seven bits a byte, the last one without the eighth. */
const number = (value: number): Code =>
  value < 128 ? [value] : [(value % 128) + 128, ...number(Math.floor(value / 128))];

/** As `number`, for a constant that may be negative: its seventh bit is the sign. */
const constant = (value: number): Code =>
  value < 64 ? [value] : [(value % 128) + 128, ...constant(Math.floor(value / 128))];

const list = (items: readonly Code[]): Code => [...number(items.length), ...items.flat()];
const sized = (code: Code): Code => [...number(code.length), ...code];
const section = (id: number, code: Code): Code => [id, ...sized(code)];
const text = (value: string): Code => sized([...new TextEncoder().encode(value)]);

const i32 = 0x7f;
const v128 = 0x7b;

// The argument of a function, and its first variable: how many elements there are, and how many were done.
const elements: Code = [0x20, 0];
const done: Code = [0x20, 1];
const firstVector = 2;

const loopStart: Code = [0x03, 0x40];
const addAndKeep: Code = [0x6a, 0x22, 1]; // i32.add, local.tee
const loopAgainIfLess: Code = [0x49, 0x0d, 0]; // i32.lt_u, br_if
const end = 0x0b;

const int = (value: number): Code => [0x41, ...constant(value)];
const vector = (instruction: number): Code => [0xfd, ...number(instruction)];
const offset = (bytes: number): Code => [0, ...number(bytes)];

const load = (address: Code, bytes: number): Code => [
  ...address,
  ...vector(0x00),
  ...offset(bytes),
];
const store = (address: Code, bytes: number, value: Code): Code => [
  ...address,
  ...value,
  ...vector(0x0b),
  ...offset(bytes),
];

// Of eight lanes of 16 bits: the lower bytes, the upper bytes, and both shifted.
const lower = (value: Code): Code => [
  ...value,
  ...int(0xff),
  ...vector(0x10), // i16x8.splat
  ...vector(0x4e), // v128.and
];
const upper = (value: Code): Code => [...value, ...int(8), ...vector(0x8d)]; // i16x8.shr_u
const raised = (value: Code): Code => [...value, ...int(8), ...vector(0x8b)]; // i16x8.shl

/** Every second byte of two vectors: the first, third, … or the second, fourth, … */
const narrow = (a: Code, b: Code): Code => [...a, ...b, ...vector(0x66)]; // i8x16.narrow_i16x8_u
const evens = (a: Code, b: Code): Code => narrow(lower(a), lower(b));
const odds = (a: Code, b: Code): Code => narrow(upper(a), upper(b));

/** The bytes of two vectors in turn: of their first halves, or of the second ones. */
const zip = (extend: number) => (a: Code, b: Code) => [
  ...a,
  ...vector(extend),
  ...raised([...b, ...vector(extend)]),
  ...vector(0x50), // v128.or
];
const firstHalves = zip(0x89); // i16x8.extend_low_i8x16_u
const secondHalves = zip(0x8a); // i16x8.extend_high_i8x16_u

/** Names values: `keep` computes one once, and answers what reads it. */
type Keep = (value: Code) => Code;

/** The vectors of a plane each, from those of a block in their order. */
function splitVectors(block: readonly Code[], keep: Keep): Code[] {
  const [a = [], b = [], c = [], d = []] = block;
  if (block.length === 2) return [evens(a, b), odds(a, b)];
  const even = [keep(evens(a, b)), keep(evens(c, d))] as const;
  const odd = [keep(odds(a, b)), keep(odds(c, d))] as const;
  return [evens(...even), evens(...odd), odds(...even), odds(...odd)];
}

/** Undoes `splitVectors`. */
function mergeVectors(planes: readonly Code[], keep: Keep): Code[] {
  const [a = [], b = [], c = [], d = []] = planes;
  if (planes.length === 2) return [firstHalves(a, b), secondHalves(a, b)];
  const first = [keep(firstHalves(a, c)), keep(firstHalves(b, d))] as const;
  const second = [keep(secondHalves(a, c)), keep(secondHalves(b, d))] as const;
  return [firstHalves, secondHalves]
    .flatMap((half) => [half(...first)])
    .concat([firstHalves, secondHalves].map((half) => half(...second)));
}

/** A function that goes over the elements, 16 at a time. */
function overElements(from: readonly Place[], to: readonly Place[], change: typeof splitVectors) {
  const code: number[] = [];
  let vectors = 0;
  const keep: Keep = (value) => {
    code.push(...value, 0x21, firstVector + vectors); // local.set
    vectors += 1;
    return [0x20, firstVector + vectors - 1]; // local.get
  };
  const values = change(
    from.map(([address, bytes]) => keep(load(address, bytes))),
    keep,
  );
  for (const [index, [address, bytes]] of to.entries()) {
    code.push(...store(address, bytes, values[index] ?? []));
  }
  const locals = list([
    [1, i32],
    [vectors, v128],
  ]);
  const loop = [
    ...loopStart,
    ...code,
    ...done,
    ...int(16),
    ...addAndKeep,
    ...elements,
    ...loopAgainIfLess,
    end,
  ];
  return sized([...locals, ...loop, end]);
}

/** An address that is computed, and what is added to it. */
type Place = readonly [address: Code, bytes: number];

/** "\0asm", version 1. */
const head: Code = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

function kernelCode({ block, planes, size }: KernelLayout): Uint8Array<ArrayBuffer> {
  const width = planes.length as PlaneWidth;
  const inBlock: Code = [...done, ...int(Math.log2(width)), 0x74]; // i32.shl
  const ofBlock = planes.map((_, index): Place => [inBlock, block + 16 * index]);
  const ofPlanes = planes.map((start): Place => [done, start]);
  const pages = number(Math.ceil(size / pageBytes));
  return Uint8Array.from([
    ...head,
    ...section(1, list([[0x60, ...list([[i32]]), ...list([])]])), // types: (i32) -> ()
    ...section(3, list([[0], [0]])), // functions, by type
    ...section(5, list([[1, ...pages, ...pages]])), // memory: least and most
    ...section(
      7,
      list([
        [...text("memory"), 2, 0],
        [...text("split"), 0, 0],
        [...text("merge"), 0, 1],
      ]),
    ),
    ...section(
      10,
      list([
        overElements(ofBlock, ofPlanes, splitVectors),
        overElements(ofPlanes, ofBlock, mergeVectors),
      ]),
    ),
  ]);
}
