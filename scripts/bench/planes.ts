import { createHash } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import type { PlaneWidth } from "../../src/runtime/byte-planes.ts";
import { planeDecoder, planeEncoder } from "../../src/runtime/plane-codec.ts";
import type { Benchmark } from "./benchmark.ts";
import type { Measurement, Result } from "./measure.ts";

const bytes = 128 * 1024 * 1024;
const chunkBytes = 256 * 1024;

/**
 * Encoding and decoding of parts as planes in one thread, on numbers as weights have them: normally distributed, with
 * another deviation for each tensor. SHA-256 and zstd of the same bytes are the baseline.
 */
export const planes: Benchmark = {
  name: "planes",
  run: ({ runs }) => {
    const half = compare("bf16", 2, runs);
    const single = compare("fp32", 4, runs);
    return Promise.resolve({
      results: [...half.results, ...single.results],
      figures: [
        {
          name: "bf16 as planes, encoding on one core",
          value: perCore(half.encode),
          needed: { atLeast: 0.5 },
          unit: "GB/s",
        },
        {
          name: "bf16 as planes, decoding on one core",
          value: perCore(half.decode),
          needed: { atLeast: 1 },
          unit: "GB/s",
        },
        {
          name: "bf16 as planes, share of the size",
          value: half.share,
          needed: { atMost: 0.7 },
          unit: "",
        },
        {
          name: "bf16 in one stream of zstd 1, share of the size",
          value: half.plain,
          needed: { atMost: 1 },
          unit: "",
        },
        {
          name: "fp32 as planes, share of the size",
          value: single.share,
          needed: { atMost: 0.85 },
          unit: "",
        },
      ],
    });
  },
};

const perCore = (result: Result): number => bytes / 1e9 / result.median.cpuSeconds;

function compare(dtype: string, width: PlaneWidth, runs: number) {
  const original = numbers(width);
  const into = new Uint8Array(1.01 * bytes);
  const stored = encode(original, width, into);
  let plain = 0;
  const work = {
    encode: () => void encode(original, width, into),
    decode: () => decode(stored, width),
    "zstd 1": () => {
      plain = zstd(original, 1);
    },
    "zstd 3": () => void zstd(original, 3),
    sha256: () => void createHash("sha256").update(original).digest(),
  };
  const measured = Object.entries(work).map(([name, run]) => ({
    name,
    run,
    all: [] as Measurement[],
  }));
  // In turn, so that a busy minute hits all of them.
  for (let round = 0; round < runs; round += 1) {
    for (const { run, all } of measured) all.push(timed(run));
  }
  const results = measured.map(({ name, all }): Result => ({
    benchmark: `planes of ${dtype}`,
    contestant: name,
    bytes,
    runs: all,
    median: all.toSorted((a, b) => a.cpuSeconds - b.cpuSeconds)[Math.floor(runs / 2)] ?? nothing,
  }));
  const [encoding, decoding] = results;
  if (encoding === undefined || decoding === undefined) throw new Error("nothing was measured");
  return {
    results,
    encode: encoding,
    decode: decoding,
    share: stored.reduce((sum, { length }) => sum + length, 0) / bytes,
    plain: plain / bytes,
  };
}

const nothing: Measurement = { seconds: 0, cpuSeconds: 0, peakBytes: undefined };

function timed(run: () => void): Measurement {
  const cpu = process.cpuUsage();
  const began = performance.now();
  run();
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, cpuSeconds: (user + system) / 1e6, peakBytes: undefined };
}

/** Into memory that is there, as a file is. */
function encode(original: Uint8Array, width: PlaneWidth, into: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  let size = 0;
  const emit = (frame: Uint8Array) => {
    into.set(frame, size);
    frames.push(into.subarray(size, size + frame.length));
    size += frame.length;
  };
  const encoder = planeEncoder({ width, emit });
  for (let at = 0; at < original.length; at += chunkBytes) {
    encoder.take(original.subarray(at, at + chunkBytes));
  }
  encoder.end();
  encoder.close();
  return frames;
}

function decode(stored: readonly Uint8Array[], width: PlaneWidth): void {
  const decoder = planeDecoder({ width, size: bytes });
  let found = 0;
  for (const frame of stored) for (const block of decoder.take(frame)) found += block.length;
  decoder.end();
  decoder.close();
  if (found !== bytes) throw new Error(`${found} of ${bytes} bytes were decoded`);
}

const zstd = (original: Uint8Array, level: number): number =>
  zstdCompressSync(original, { params: { [constants.ZSTD_c_compressionLevel]: level } }).length;

/** Numbers of a normal distribution, in bf16 or fp32; the same each time. */
function numbers(width: PlaneWidth): Uint8Array {
  const original = new Uint8Array(bytes);
  const count = bytes / width;
  const words = width === 2 ? new Uint16Array(original.buffer) : new Uint32Array(original.buffer);
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  let state = 1;
  const random = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  for (let at = 0; at < count; at += 1) {
    // Another tensor each 4 MiB.
    const deviation = 0.01 * (1 + (((at * width) >> 22) % 5));
    float[0] =
      deviation * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const word = bits[0] ?? 0;
    words[at] = width === 2 ? (word + 0x8000) >>> 16 : word;
  }
  return original;
}
