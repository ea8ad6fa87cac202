import { constants, zstdCompressSync } from "node:zlib";
import { planeSizes, type PlaneWidth } from "./byte-planes.ts";
import {
  damagedPlanes,
  frameLength,
  mostOfFrame,
  readPlane,
  releaseMade,
  storePlane,
} from "./plane-frame.ts";
import { giveBack, planeBlockBytes, takeSpace } from "./plane-space.ts";

/** A plane that saves less than this share is stored as it is. */
const leastSaving = 1 / 32;

/** Takes bytes in any chunking. Blocks. */
export interface PlaneEncoder {
  /** Memory for the next bytes, at least one: for those who can put them there. */
  room(): Uint8Array;
  /** So many bytes were put into `room()`. */
  filled(bytes: number): void;
  take(chunk: Uint8Array): void;
  /** All bytes were taken. */
  end(): void;
  /** Nothing of it is used from now on: the next one gets its memory. */
  close(): void;
}

interface EncoderOptions {
  width: PlaneWidth;
  /** What it gets may be used until it returns only. */
  emit(bytes: Uint8Array): void;
}

/**
 * Encodes bytes as planes of zstd frames: block by block, for each plane one frame, in order; planes without
 * bytes have none. The same bytes give the same frames, as long as zstd is the same.
 */
export function planeEncoder({ width, emit }: EncoderOptions): PlaneEncoder {
  const space = takeSpace(width);
  let bytes = 0;
  const flush = (): void => {
    space.split(bytes);
    const sizes = planeSizes(bytes, width);
    bytes = 0;
    for (const [index, plane] of space.planes.entries()) {
      const size = sizes[index] ?? 0;
      if (size > 0) emitFrame(plane.subarray(0, size), emit);
    }
  };
  const room = () => space.block.subarray(bytes);
  const filled = (more: number): void => {
    bytes += more;
    if (bytes === planeBlockBytes) flush();
  };
  return {
    room,
    filled,
    take(chunk) {
      for (let at = 0; at < chunk.length;) {
        const some = chunk.subarray(at, at + planeBlockBytes - bytes);
        room().set(some);
        at += some.length;
        filled(some.length);
      }
    },
    end() {
      if (bytes > 0) flush();
    },
    close: () => giveBack(space),
  };
}

function emitFrame(plane: Uint8Array, emit: EncoderOptions["emit"]): void {
  const frame = compressPlane(plane);
  if (frame === undefined) return storePlane(plane, emit);
  emit(frame);
  releaseMade(frame);
}

/** The plane as a frame that is worth it, or undefined. */
export function compressPlane(plane: Uint8Array): Uint8Array | undefined {
  if (!isUneven(plane)) return undefined;
  const frame = zstdCompressSync(plane, {
    params: planeParameters,
    pledgedSrcSize: plane.length,
    // Room for whatever comes of it: zstd does without buffers of its own then.
    chunkSize: plane.length + (plane.length >> 8) + 1024,
  });
  if (frame.length > plane.length * (1 - leastSaving)) return undefined;
  // Not as a buffer, whose slices are no copies.
  return new Uint8Array(frame.buffer, frame.byteOffset, frame.length);
}

/**
 * Some bytes are more frequent in a plane of exponents than others, and that is all that there is to save. Matches
 * are found by chance: they take time, in the decoder too, and more bytes than what they stand for. So that zstd
 * finds hardly any, they must be long, and few places are remembered.
 */
const planeParameters = {
  [constants.ZSTD_c_compressionLevel]: 1,
  [constants.ZSTD_c_minMatch]: 7,
  [constants.ZSTD_c_hashLog]: 6,
};

/** How many bytes of a plane are looked at. */
const sampleBytes = 4096;

/**
 * Whether some bytes are so much more frequent in a plane than others that `leastSaving` is possible: told by how
 * often two of them are the same, which gives at most the entropy.
 */
function isUneven(plane: Uint8Array): boolean {
  const counts = new Uint32Array(256);
  const step = Math.max(1, Math.floor(plane.length / sampleBytes));
  let seen = 0;
  for (let at = 0; at < plane.length; at += step) {
    const byte = plane[at] ?? 0;
    counts[byte] = (counts[byte] ?? 0) + 1;
    seen += 1;
  }
  const same = counts.reduce((sum, count) => sum + count * (count - 1), 0);
  return same > seen * (seen - 1) * 2 ** (8 * (leastSaving - 1));
}

/** Encoded bytes that wait until their frame is whole, at most: more than any frame of a plane has. */
const pendingBytes = planeBlockBytes;

/** Takes encoded bytes in any chunking. Blocks. */
export interface PlaneDecoder {
  /** Memory for the next bytes, at least one: for those who can put them there. */
  room(): Uint8Array;
  /**
   * So many bytes were put into `room()`. What they decode to, in pieces that may be used until the next one is
   * asked for only; all of them must be asked for.
   */
  filled(bytes: number): Iterable<Uint8Array>;
  /** Both at once. */
  take(chunk: Uint8Array): Iterable<Uint8Array>;
  /** All bytes were taken. */
  end(): void;
  /** Nothing of it is used from now on: the next one gets its memory. */
  close(): void;
}

/**
 * Decodes what `planeEncoder` made of `size` bytes, in bounded memory whatever it is given. Throws an error with
 * a `ZSTD_` code for anything else: damaged, cut off, followed by other bytes, or of another size.
 */
export function planeDecoder({ width, size }: { width: PlaneWidth; size: number }): PlaneDecoder {
  // At least one more than a frame may have, so that one that is larger is found out.
  const pending = new Uint8Array(pendingBytes);
  let end = 0;
  const space = takeSpace(width);
  let left = size;
  /** How many planes of the block were read. */
  let planes = 0;

  /** Takes the frame that begins at `start`, and answers where it ends; `start` where it is not whole. */
  const takeFrame = (start: number, sizes: readonly number[]): number => {
    const wanted = sizes[planes] ?? 0;
    const length = frameLength(pending.subarray(start, end));
    if ((length ?? end - start) > mostOfFrame(wanted)) throw damagedPlanes("a frame too large");
    if (length === undefined) return start;
    const plane = space.planes[planes]?.subarray(0, wanted) ?? new Uint8Array(0);
    readPlane(pending.subarray(start, start + length), plane);
    planes += 1;
    while (planes < width && sizes[planes] === 0) planes += 1;
    return start + length;
  };

  function* takeFrames(): Generator<Uint8Array> {
    let start = 0;
    while (start < end && left > 0) {
      const bytes = Math.min(planeBlockBytes, left);
      const next = takeFrame(start, planeSizes(bytes, width));
      if (next === start) break;
      start = next;
      if (planes < width) continue;
      space.merge(bytes);
      planes = 0;
      left -= bytes;
      yield space.block.subarray(0, bytes);
    }
    if (left === 0 && start < end) throw damagedPlanes("other data follows it");
    pending.copyWithin(0, start, end);
    end -= start;
  }

  const room = () => pending.subarray(end);
  function* filled(bytes: number): Generator<Uint8Array> {
    end += bytes;
    yield* takeFrames();
  }

  return {
    room,
    filled,
    *take(chunk) {
      for (let at = 0; at < chunk.length;) {
        const some = chunk.subarray(at, at + room().length);
        room().set(some);
        at += some.length;
        yield* filled(some.length);
      }
    },
    end() {
      if (left > 0) throw damagedPlanes("it is truncated");
    },
    close: () => giveBack(space),
  };
}

/** The bytes of an element, by the name of the encoding. */
export const planeWidths = { "bp2.zstd": 2, "bp4.zstd": 4 } as const satisfies Record<
  string,
  PlaneWidth
>;

/** The codecs that store the bytes of a number apart, by the width of the number. */
export type PlaneCodec = keyof typeof planeWidths;

/** Whether a part is stored in planes: only the names in `planeWidths` are. */
export const isPlaneCodec = (codec: string): codec is PlaneCodec =>
  Object.hasOwn(planeWidths, codec);
