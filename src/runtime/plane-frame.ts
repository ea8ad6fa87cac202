import { zstdDecompressSync } from "node:zlib";
import { releaseBytes } from "./release-bytes.ts";

// One plane of a block as one frame of zstd (RFC 8878, 3.1.1), which any decoder of zstd reads.

/** The `code` of errors for bytes that are not what an encoder of planes writes. */
const damagedCode = "ZSTD_planes";

/**
 * The error for planes that are not what was written; no `OcibundleError`, because only the caller knows
 * the blob.
 */
export const damagedPlanes = (message: string, cause?: unknown): Error =>
  Object.assign(new Error(message, { cause }), { code: damagedCode });

const magic = 0xfd2fb528;
/** No block of a frame holds more bytes than this. */
const maxBlockBytes = 128 * 1024;
const headerBytes = 9;
const blockHeaderBytes = 3;
/** A single segment with its size in four bytes, without a checksum and a dictionary. */
const storedDescriptor = 0xa0;

/** What a frame that is not larger than it need be has at most, in bytes: somewhat more than any encoder makes. */
export const mostOfFrame = (planeBytes: number): number =>
  planeBytes + Math.ceil(planeBytes / 64) + 1024;

/** Emits a frame that has a plane as it is: for one that does not compress. */
export function storePlane(plane: Uint8Array, emit: (bytes: Uint8Array) => void): void {
  const header = new DataView(new ArrayBuffer(headerBytes));
  header.setUint32(0, magic, true);
  header.setUint8(4, storedDescriptor);
  header.setUint32(5, plane.length, true);
  emit(new Uint8Array(header.buffer));
  for (let start = 0; start < plane.length; start += maxBlockBytes) {
    const bytes = plane.subarray(start, start + maxBlockBytes);
    const isLast = start + maxBlockBytes >= plane.length;
    const said = (bytes.length << 3) | (isLast ? 1 : 0);
    emit(Uint8Array.of(said & 0xff, (said >>> 8) & 0xff, said >>> 16));
    emit(bytes);
  }
}

const dictionaryIdBytes = [0, 1, 2, 4] as const;
const contentSizeBytes = [0, 2, 4, 8] as const;

/**
 * The length of the frame that the bytes begin with, or undefined where it goes on behind them. Throws for what
 * is no frame.
 */
export function frameLength(bytes: Uint8Array): number | undefined {
  if (bytes.length < 5) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== magic) throw damagedPlanes("no zstd frame begins here");
  const descriptor = view.getUint8(4);
  const isSingle = (descriptor >> 5) & 1;
  const sizeBytes = contentSizeBytes[descriptor >> 6] ?? 0;
  let at =
    5 +
    (1 - isSingle) +
    (dictionaryIdBytes[descriptor & 3] ?? 0) +
    (sizeBytes === 0 ? isSingle : sizeBytes);
  for (;;) {
    if (at + blockHeaderBytes > bytes.length) return undefined;
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    const type = (header >> 1) & 3;
    if (type === 3) throw damagedPlanes("a block of a reserved type");
    // A block of the type 1 is one byte, repeated.
    at += blockHeaderBytes + (type === 1 ? 1 : header >> 3);
    if ((header & 1) === 1) break;
  }
  at += ((descriptor >> 2) & 1) * 4;
  return at > bytes.length ? undefined : at;
}

/** Frames say how much memory they need; planes need less. In bytes, as a power of two. */
const mostWindowLog = 23;

/** Reads a whole frame into `plane`, all of which it fills. Throws for any other frame. */
export function readPlane(frame: Uint8Array, plane: Uint8Array): void {
  const descriptor = frame[4] ?? 0;
  const isSingle = ((descriptor >> 5) & 1) === 1;
  const windowLog = 10 + ((frame[5] ?? 0) >> 3);
  if (!isSingle && windowLog > mostWindowLog) throw damagedPlanes("a frame with a large window");
  // What a single segment says of its size is the memory that it takes.
  if (isSingle && contentSize(frame) !== plane.length) {
    throw damagedPlanes("a plane of another size");
  }
  if (descriptor === storedDescriptor && readStored(frame, plane)) return;
  let decompressed: Uint8Array;
  try {
    decompressed = zstdDecompressSync(frame, {
      maxOutputLength: Math.max(1, plane.length),
      // With room left over, so that no more is made to find out that nothing follows.
      chunkSize: plane.length + 64,
    });
  } catch (cause) {
    throw damagedPlanes("a frame that cannot be decompressed", cause);
  }
  if (decompressed.length !== plane.length) throw damagedPlanes("a plane of another size");
  plane.set(decompressed);
  releaseMade(decompressed);
}

/**
 * Gives back memory that zlib made for a result which is smaller: `made` is of no use then. Without, each plane takes
 * new memory of the system, which costs as much time as decompressing does.
 */
export function releaseMade({ buffer }: Uint8Array): void {
  releaseBytes(new Uint8Array(buffer));
}

/** Copies what a frame of `storePlane` holds, without zstd; false for another one. */
function readStored(frame: Uint8Array, plane: Uint8Array): boolean {
  let filled = 0;
  for (let at = headerBytes; at < frame.length;) {
    const header = (frame[at] ?? 0) | ((frame[at + 1] ?? 0) << 8) | ((frame[at + 2] ?? 0) << 16);
    const length = header >> 3;
    if (((header >> 1) & 3) !== 0 || filled + length > plane.length) return false;
    at += blockHeaderBytes;
    plane.set(frame.subarray(at, at + length), filled);
    filled += length;
    at += length;
  }
  return filled === plane.length;
}

/** What the header of a single segment says of its size. */
function contentSize(frame: Uint8Array): number {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const descriptor = view.getUint8(4);
  const at = 5 + (dictionaryIdBytes[descriptor & 3] ?? 0);
  switch (descriptor >> 6) {
    case 0:
      return view.getUint8(at);
    case 1:
      return view.getUint16(at, true) + 256;
    case 2:
      return view.getUint32(at, true);
    default:
      return Number(view.getBigUint64(at, true));
  }
}
