import { createHash, type Hash } from "node:crypto";
import { type FileHandle } from "node:fs/promises";
import type { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createGzip, createZstdCompress } from "node:zlib";
import { encodePlanesFile } from "./encode-planes.ts";
import { isPlaneCodec } from "./plane-codec.ts";
import { compressBytes, hideSystem, readSmallFile, smallFileBytes } from "./small-file.ts";
import { readableMode, replaceFile } from "./own-file.ts";
import {
  type Codec,
  type CompressJob,
  type Compressed,
  type FileRange,
  fileEndedCode,
  type Hashed,
} from "./worker-protocol.ts";
import { openRegular } from "./regular-file.ts";

const readBytes = 256 * 1024;
const writeBytes = 1024 * 1024;

/**
 * Compresses a range of a file into another file and hashes both sides in the same pass. The same
 * input and level give the same bytes each time.
 *
 * `onChunk` is told the number of bytes read after each chunk, and ends the work by throwing.
 * Throws errno errors, and one with `fileEndedCode` when the file is shorter than the range.
 */
export async function compressFile(
  job: CompressJob,
  onChunk?: (bytes: number) => void,
): Promise<Compressed> {
  const { input, codec, level, output, isTemporary = false } = job;
  if (isPlaneCodec(codec)) {
    return encodePlanesFile({ input, codec, output, isTemporary }, onChunk);
  }
  if (input.end - input.start <= smallFileBytes) {
    return compressSmall({ input, codec, level, output, isTemporary }, onChunk);
  }
  const from = await openRegular(input.path);
  try {
    const to = await replaceFile(output, readableMode);
    try {
      const before = createHash("sha256");
      const after = createHash("sha256");
      let size = 0;
      await pipeline(
        readChunks(from, input, before, onChunk),
        createCompressor(codec, level, input.end - input.start),
        async (chunks: AsyncIterable<Uint8Array>) => {
          for await (const chunk of chunks) {
            if (codec === "gzip" && size === 0) hideSystem(chunk);
            after.update(chunk);
            await writeAll(to, chunk);
            size += chunk.length;
          }
        },
      );
      if (!isTemporary) await to.sync();
      return {
        input: hashed(before, input.end - input.start),
        output: hashed(after, size),
      };
    } finally {
      await to.close();
    }
  } finally {
    await from.close();
  }
}

const hashed = (hash: Hash, size: number): Hashed => ({
  digest: `sha256:${hash.digest("hex")}`,
  size,
});

/** In memory, so that the bytes are those that `packSmallFile` found. */
async function compressSmall(
  { input, codec, level, output, isTemporary }: CompressJob & { codec: Codec },
  onChunk: ((bytes: number) => void) | undefined,
): Promise<Compressed> {
  const bytes = readSmallFile(input);
  onChunk?.(bytes.length);
  const compressed = compressBytes(bytes, codec, level);
  const to = await replaceFile(output, readableMode);
  try {
    await writeAll(to, compressed);
    if (isTemporary !== true) await to.sync();
  } finally {
    await to.close();
  }
  return {
    input: hashed(createHash("sha256").update(bytes), bytes.length),
    output: hashed(createHash("sha256").update(compressed), compressed.length),
  };
}

/** The range in chunks of one size, so that the compressor sees the same calls each time. */
async function* readChunks(
  file: FileHandle,
  { path, start, end }: FileRange,
  hash: Hash,
  onChunk: ((bytes: number) => void) | undefined,
): AsyncGenerator<Uint8Array> {
  for (let offset = start; offset < end;) {
    // A new buffer each time: the compressor may hold on to the one before.
    const chunk = new Uint8Array(Math.min(readBytes, end - offset));
    let filled = 0;
    while (filled < chunk.length) {
      const { bytesRead } = await file.read(chunk, filled, chunk.length - filled, offset + filled);
      if (bytesRead === 0) {
        throw Object.assign(new Error(`${path}: the file ended before byte ${end}`), {
          code: fileEndedCode,
        });
      }
      filled += bytesRead;
    }
    hash.update(chunk);
    offset += filled;
    onChunk?.(filled);
    yield chunk;
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  let done = 0;
  while (done < chunk.length) {
    done += (await file.write(chunk, done, chunk.length - done)).bytesWritten;
  }
}

/**
 * The largest size that the runtimes hand to zstd: they take it as 32 bits. A frame of more bytes does not
 * say its size in its header, which no reader needs.
 */
const maxPledgedSize = 2 ** 32 - 1;

function createCompressor(codec: Codec, level: number, size: number): Transform {
  if (codec === "gzip") return createGzip({ level, chunkSize: writeBytes });
  return createZstdCompress({
    chunkSize: writeBytes,
    ...(size > maxPledgedSize ? {} : { pledgedSrcSize: size }),
    params: { [constants.ZSTD_c_compressionLevel]: level },
  });
}
