import { closeSync, readSync } from "node:fs";
import { constants, zstdCompressSync } from "node:zlib";
import { planeSizes, splitPlanes } from "./byte-planes.ts";
import { compressPlane, planeWidths } from "./plane-codec.ts";
import { type FileRange, type PartCodec } from "./worker-protocol.ts";
import { openRegularSync } from "./regular-file.ts";

/** Samples are taken at head, middle and tail. In bytes; a multiple of the bytes of any element. */
const sampleBytes = 64 * 1024;
const elementBytes = 8;
/** Smaller ones are not worth a decoder. In bytes. */
const leastBytes = 4096;
/** Planes are taken where they save so much more of the size: fewer programs read them. */
const leastGain = 0.02;

/**
 * How a part of a file is stored in the fewest bytes, judged by samples: `none` where less than `minSaving` of
 * the size is saved. Blocks for some milliseconds. Throws errno errors.
 */
export function chooseCodec(range: FileRange, minSaving: number): "none" | PartCodec {
  const size = range.end - range.start;
  if (size < leastBytes) return "none";
  const samples = readSamples(range);
  const plain = savingOf(samples, (sample) => compressedSize(sample));
  let best: { codec: PartCodec; saving: number } = { codec: "zstd", saving: plain };
  for (const codec of ["bp2.zstd", "bp4.zstd"] as const) {
    const saving = savingOf(samples, (sample) => planesSize(sample, planeWidths[codec]));
    if (saving > best.saving + leastGain) best = { codec, saving };
  }
  return best.saving < minSaving ? "none" : best.codec;
}

function readSamples({ path, start, end }: FileRange): Uint8Array[] {
  const last = Math.max(0, end - start - sampleBytes);
  const file = openRegularSync(path);
  try {
    // An element that is cut in the middle would put its bytes into other planes.
    const offsets = new Set([0, last / 2, last].map((at) => at - (at % elementBytes)));
    return [...offsets].map((offset) => {
      const sample = new Uint8Array(Math.min(sampleBytes, end - start - offset));
      return sample.subarray(0, readSync(file, sample, 0, sample.length, start + offset));
    });
  } finally {
    closeSync(file);
  }
}

function savingOf(samples: readonly Uint8Array[], stored: (sample: Uint8Array) => number): number {
  const before = samples.reduce((sum, sample) => sum + sample.length, 0);
  const after = samples.reduce((sum, sample) => sum + Math.min(sample.length, stored(sample)), 0);
  return before === 0 ? 0 : 1 - after / before;
}

function planesSize(sample: Uint8Array, width: 2 | 4): number {
  const planes = planeSizes(sample.length, width).map((size) => new Uint8Array(size));
  splitPlanes(sample, planes);
  return planes.reduce((sum, plane) => sum + (compressPlane(plane) ?? plane).length, 0);
}

const compressedSize = (bytes: Uint8Array): number =>
  zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }).length;
