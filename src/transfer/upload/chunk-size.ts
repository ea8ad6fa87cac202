import { MiB } from "../units.ts";

/**
 * Chunk sizes in bytes. A smaller limit of a proxy (100 MB is common) is found out during the upload; those between
 * `smallest` and `least`, the default limit of nginx, are for proxies that take no larger ones.
 */
export const chunkSizes = {
  first: 16 * MiB,
  largest: 256 * MiB,
  smallest: 5 * MiB,
  least: MiB,
} as const;

/** A body that takes longer than this, in milliseconds, is counted while it is sent, so that progress moves. */
const silentAtMost = 700;

/** What a registry has shown about the bodies it takes. */
export interface ChunkTraits {
  /** Chunks larger than this, in bytes, were refused. */
  largestChunk: number;
  /** Bytes per millisecond of the last body that was sent; 0 before the first. */
  rate: number;
}

/** The first chunk of an upload, in bytes. */
export const firstChunk = (traits: ChunkTraits, minimum: number | undefined): number =>
  clampChunk(traits.rate > 0 ? traits.rate * silentAtMost : chunkSizes.first, traits, minimum);

/** The size of the chunk after one of `size` bytes that took `milliseconds`. */
export function nextChunk(
  size: number,
  milliseconds: number,
  traits: ChunkTraits,
  minimum: number | undefined,
): number {
  if (milliseconds < 500) return clampChunk(size * 2, traits, minimum);
  if (milliseconds > 4000) return clampChunk(size / 2, traits, minimum);
  return clampChunk(size, traits, minimum);
}

/**
 * The chunk to try after one of `size` bytes took too long, or with `least` was too large; undefined when it can't be
 * smaller.
 */
export function smallerChunk(
  size: number,
  minimum: number | undefined,
  least: number = chunkSizes.smallest,
): number | undefined {
  const floor = Math.max(least, minimum ?? 0);
  return size > floor ? Math.max(floor, Math.floor(size / 2)) : undefined;
}

/** The object stores behind registries prefer parts of equal size. */
const wholeMiB = (bytes: number): number => Math.floor(bytes / MiB) * MiB;

function clampChunk(size: number, traits: ChunkTraits, minimum: number | undefined): number {
  const taken = Math.max(chunkSizes.least, wholeMiB(traits.largestChunk));
  const floor = Math.max(Math.min(chunkSizes.smallest, taken), minimum ?? 0);
  return Math.max(floor, wholeMiB(Math.min(size, taken)));
}

/** Whether a body of `size` bytes should be counted while it is sent, at the rate seen so far. */
export const isSlow = (size: number, rate: number): boolean =>
  size > 256 * 1024 && (rate === 0 || size / rate > silentAtMost);
