import { constants, zstdCompressSync } from "node:zlib";
import { mergePlanes, planeSizes, type PlaneWidth, splitPlanes } from "./byte-planes.ts";
import { damagedPlanes, emitStored, frameLength, mostOfFrame, planeOf } from "./plane-frame.ts";

/** Bytes are encoded by blocks of so many, the last one with what is left. Part of the format. */
export const planeBlockBytes = 1024 * 1024;

/** Of a plane so much is compressed to find out whether it is worth it. */
const trialBytes = 16 * 1024;
/** A plane that saves less than this share is stored as it is. */
const leastSaving = 1 / 32;

/** Takes bytes in any chunking. Blocks. */
export interface PlaneEncoder {
  /** What `emit` gets may be used until the next call only. */
  take(chunk: Uint8Array): void;
  /** All bytes were taken. */
  end(): void;
}

interface EncoderOptions {
  width: PlaneWidth;
  /** Of zstd. */
  level: number;
  emit(bytes: Uint8Array): void;
}

/**
 * Encodes bytes as planes of zstd frames: block by block, for each plane one frame, in order; planes without
 * bytes have none. The same bytes and level give the same frames, as long as zstd is the same.
 */
export function planeEncoder({ width, level, emit }: EncoderOptions): PlaneEncoder {
  const block = new Uint8Array(planeBlockBytes);
  let filled = 0;
  const planes = planeSizes(planeBlockBytes, width).map((size) => new Uint8Array(size));
  const flush = (): void => {
    const sizes = planeSizes(filled, width);
    const parts = planes.map((plane, index) => plane.subarray(0, sizes[index]));
    splitPlanes(block.subarray(0, filled), parts);
    filled = 0;
    for (const plane of parts) if (plane.length > 0) emitFrame(plane, level, emit);
  };
  return {
    take(chunk) {
      for (let at = 0; at < chunk.length;) {
        const bytes = Math.min(planeBlockBytes - filled, chunk.length - at);
        block.set(chunk.subarray(at, at + bytes), filled);
        at += bytes;
        filled += bytes;
        if (filled === planeBlockBytes) flush();
      }
    },
    end() {
      if (filled > 0) flush();
    },
  };
}

function emitFrame(plane: Uint8Array, level: number, emit: EncoderOptions["emit"]): void {
  const middle = Math.max(0, Math.floor((plane.length - trialBytes) / 2));
  const trial = compress(plane.subarray(middle, middle + trialBytes), level);
  const isSmall = plane.length <= trialBytes;
  const isWorthIt = trial.length <= Math.min(plane.length, trialBytes) * (1 - leastSaving);
  const frame = !isWorthIt ? undefined : isSmall ? trial : compress(plane, level);
  if (frame !== undefined && frame.length < plane.length) emit(frame);
  else emitStored(plane, emit);
}

const compress = (bytes: Uint8Array, level: number): Uint8Array =>
  zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: level } });

/** Takes encoded bytes in any chunking. Blocks. */
export interface PlaneDecoder {
  /** What they decode to, in pieces that may be used until the next one is asked for only. */
  take(chunk: Uint8Array): Iterable<Uint8Array>;
  /** All bytes were taken. */
  end(): void;
}

/**
 * Decodes what `planeEncoder` made of `size` bytes, in bounded memory whatever it is given. Throws an error with
 * a `ZSTD_` code for anything else: damaged, cut off, followed by other bytes, or of another size.
 */
export function planeDecoder({ width, size }: { width: PlaneWidth; size: number }): PlaneDecoder {
  // One more than a frame may have, so that one that is larger is found out.
  const pending = new Uint8Array(mostOfFrame(planeBlockBytes / width) + 1);
  let filled = 0;
  const block = new Uint8Array(Math.min(planeBlockBytes, size));
  const spaces = planeSizes(block.length, width).map((bytes) => new Uint8Array(bytes));
  let left = size;
  let planes: Uint8Array[] = [];

  /** Takes the frame that begins at `start`, and answers where it ends; `start` where it is not whole. */
  const takeFrame = (start: number, sizes: readonly number[]): number => {
    const wanted = sizes[planes.length] ?? 0;
    const length = frameLength(pending.subarray(start, filled));
    if ((length ?? filled - start) > mostOfFrame(wanted)) throw damagedPlanes("a frame too large");
    if (length === undefined) return start;
    const space = spaces[planes.length] ?? new Uint8Array(0);
    planes.push(planeOf(pending.subarray(start, start + length), wanted, space));
    while (planes.length < width && sizes[planes.length] === 0) planes.push(new Uint8Array(0));
    return start + length;
  };

  function* takeFrames(): Generator<Uint8Array> {
    let start = 0;
    while (start < filled && left > 0) {
      const bytes = Math.min(planeBlockBytes, left);
      const next = takeFrame(start, planeSizes(bytes, width));
      if (next === start) break;
      start = next;
      if (planes.length < width) continue;
      const whole = block.subarray(0, bytes);
      mergePlanes(planes, whole);
      planes = [];
      left -= bytes;
      yield whole;
    }
    pending.copyWithin(0, start, filled);
    filled -= start;
  }

  return {
    *take(chunk) {
      for (let at = 0; at < chunk.length;) {
        const bytes = Math.min(pending.length - filled, chunk.length - at);
        pending.set(chunk.subarray(at, at + bytes), filled);
        at += bytes;
        filled += bytes;
        yield* takeFrames();
        if (left === 0 && (filled > 0 || at < chunk.length)) {
          throw damagedPlanes("other data follows it");
        }
      }
    },
    end() {
      if (left > 0) throw damagedPlanes("it is truncated");
    },
  };
}

/** The bytes of an element, by the name of the encoding. */
export const planeWidths = { "bp2.zstd": 2, "bp4.zstd": 4 } as const satisfies Record<
  string,
  PlaneWidth
>;

export type PlaneCodec = keyof typeof planeWidths;

export const isPlaneCodec = (codec: string): codec is PlaneCodec =>
  Object.hasOwn(planeWidths, codec);
