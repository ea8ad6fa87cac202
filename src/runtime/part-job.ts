import { createHash } from "node:crypto";
import { closeSync, readSync, writeSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { openOwnFile } from "./own-file.ts";
import { type PartPlace, PartPlaces, rangeInFile } from "./part-places.ts";
import { isPlaneCodec, planeDecoder, planeWidths } from "./plane-codec.ts";
import {
  decodedTooLongCode,
  fileEndedCode,
  type Hashed,
  type PartCodec,
  type PartJob,
} from "./worker-protocol.ts";
import { zstdFrames } from "./zstd-frames.ts";
import { openRegularSync } from "./regular-file.ts";

const readBytes = 256 * 1024;
const decodedBytes = 1024 * 1024;

/** For what is not decoded, one part after another. */
let plainBuffer: Uint8Array | undefined;

/**
 * Gathers a part from places in a file, decodes it where it is stored in another form, hashes its original
 * bytes, and writes them to their places where there are some. Returns digest and size of the original:
 * whether they are right is the caller's to judge, and what was written then the caller's to undo.
 *
 * Blocks the thread unless it decodes. `onChunk` is told the number of stored bytes read after each chunk, and
 * ends the work by throwing. Throws errno errors, zlib's, one with `fileEndedCode` where a file is shorter
 * than its places, and one with `decodedTooLongCode` as soon as there are more bytes than there may be.
 */
export async function runPartJob(
  { from, decode, to }: PartJob,
  onChunk?: (bytes: number) => void,
): Promise<Hashed> {
  const hash = createHash("sha256");
  const output = to === undefined ? undefined : await openOwnFile(to.path);
  if (to !== undefined && output === undefined) {
    throw Object.assign(new Error(`${to.path} was replaced`), { code: fileEndedCode });
  }
  const write =
    to === undefined ? undefined : placesWriter(output?.fd ?? -1, new PartPlaces(to.places));
  let size = 0;
  const take = (chunk: Uint8Array): void => {
    if (decode !== undefined && size + chunk.length > decode.size) {
      const message = `decodes to more than ${decode.size} bytes`;
      throw Object.assign(new Error(message), { code: decodedTooLongCode });
    }
    hash.update(chunk);
    write?.(chunk, size);
    size += chunk.length;
  };
  try {
    if (decode === undefined) {
      const buffer = (plainBuffer ??= new Uint8Array(readBytes));
      for (const chunk of storedChunks(from, () => buffer, onChunk)) take(chunk);
    } else {
      const input = (buffer: () => Uint8Array) => storedChunks(from, buffer, onChunk);
      await decodeChunks(decode, input, take);
    }
  } finally {
    await output?.close();
  }
  return { digest: `sha256:${hash.digest("hex")}`, size };
}

/** Decodes a part, which must be whole and nothing else. Planes are decoded without a pause. */
async function decodeChunks(
  { codec, size }: { codec: PartCodec; size: number },
  input: (buffer: () => Uint8Array) => Iterable<Uint8Array>,
  take: (chunk: Uint8Array) => void,
): Promise<void> {
  if (isPlaneCodec(codec)) {
    const decoder = planeDecoder({ width: planeWidths[codec], size });
    try {
      // Into the decoder's memory, so that nothing is copied.
      for (const { length } of input(() => decoder.room().subarray(0, readBytes))) {
        for (const block of decoder.filled(length)) take(block);
      }
      decoder.end();
    } finally {
      decoder.close();
    }
    return;
  }
  const frames = codec === "zstd" ? zstdFrames() : undefined;
  const decoder =
    codec === "gzip"
      ? createGunzip({ chunkSize: decodedBytes })
      : createZstdDecompress({ chunkSize: decodedBytes });
  function* followed() {
    for (const chunk of input(() => new Uint8Array(readBytes))) {
      frames?.take(chunk);
      yield chunk;
    }
  }
  await pipeline(followed, decoder, async (chunks: AsyncIterable<Uint8Array>) => {
    for await (const chunk of chunks) take(chunk);
  });
  if (frames?.isWhole() === false) {
    throw Object.assign(new Error("the zstd data is truncated"), { code: "ZSTD_frames" });
  }
}

/** The bytes at places of a file, one after another; each buffer is filled, since places can be of a few bytes. */
function* storedChunks(
  { path, places }: PartJob["from"],
  buffer: () => Uint8Array,
  onChunk: ((bytes: number) => void) | undefined,
): Generator<Uint8Array> {
  const all = new PartPlaces(places);
  const file = openRegularSync(path);
  try {
    let chunk = buffer();
    let filled = 0;
    for (let index = 0; index < all.length; index += 1) {
      const { start, end } = rangeInFile(all.at(index));
      for (let offset = start; offset < end;) {
        const wanted = Math.min(chunk.length - filled, end - offset);
        const bytes = readSync(file, chunk, filled, wanted, offset);
        if (bytes === 0) {
          const message = `${path}: the file ended before byte ${end}`;
          throw Object.assign(new Error(message), { code: fileEndedCode });
        }
        offset += bytes;
        filled += bytes;
        if (filled < chunk.length) continue;
        yield chunk;
        onChunk?.(filled);
        chunk = buffer();
        filled = 0;
      }
    }
    if (filled > 0) {
      yield chunk.subarray(0, filled);
      onChunk?.(filled);
    }
  } finally {
    closeSync(file);
  }
}

/**
 * Writes what of a chunk at `at` belongs to each of the places, which are in the order of their starts. Chunks come one
 * after another, so that places which lie behind or ahead need not be looked at.
 */
function placesWriter(file: number, places: PartPlaces): (chunk: Uint8Array, at: number) => void {
  let next = 0;
  let begun: PartPlace[] = [];
  return (chunk, at) => {
    const chunkEnd = at + chunk.length;
    for (; next < places.length; next += 1) {
      const place = places.at(next);
      if (place.start >= chunkEnd) break;
      begun.push(place);
    }
    for (const place of begun) {
      const start = Math.max(place.start, at);
      const end = Math.min(place.end, chunkEnd);
      if (start >= end) continue;
      writeAll(file, chunk.subarray(start - at, end - at), place.position + start - place.start);
    }
    begun = begun.filter(({ end }) => end > chunkEnd);
  };
}

function writeAll(file: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(file, bytes, done, bytes.length - done, position + done);
  }
}
