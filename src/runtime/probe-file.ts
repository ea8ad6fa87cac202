import { closeSync, readSync } from "node:fs";
import { constants, zstdCompressSync } from "node:zlib";
import { openRegularSync } from "./regular-file.ts";

const sampleBytes = 1024 * 1024;

/** The fastest level of zstd's ordinary scale. */
const probeLevel = 1;

/**
 * How much compressing a file would save, as a share of its size (0.1 is a tenth), judged by samples of
 * 1 MiB at its head, middle and tail. Blocks for some tens of milliseconds. Throws errno errors.
 */
export function probeFile(path: string, size: number): number {
  const file = openRegularSync(path);
  try {
    const last = Math.max(0, size - sampleBytes);
    // Overlapping samples of a small file would count some bytes twice, which does no harm.
    const offsets = new Set([0, Math.floor(last / 2), last]);
    return probe(
      [...offsets].map((offset) => {
        const sample = new Uint8Array(Math.min(sampleBytes, size));
        return sample.subarray(0, readSync(file, sample, 0, sample.length, offset));
      }),
    );
  } finally {
    closeSync(file);
  }
}

/** The share of the samples' size that compressing them saves; never less than 0. */
export function probe(samples: readonly Uint8Array[]): number {
  let before = 0;
  let after = 0;
  for (const sample of samples) {
    before += sample.length;
    after += zstdCompressSync(sample, {
      params: { [constants.ZSTD_c_compressionLevel]: probeLevel },
    }).length;
  }
  return before === 0 ? 0 : Math.max(0, 1 - after / before);
}
