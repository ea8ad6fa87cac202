import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { errno, OcibundleError } from "../../errors.ts";
import { zstdFrames } from "../../runtime/zstd-frames.ts";

/** In bytes: the default of 16 KiB costs more time than the decompression. */
const chunkSize = 256 * 1024;

/**
 * Decompresses gzip members or zstd frames, one after the other, and hands what is in them to `consume`.
 *
 * The data must be whole and nothing else: `on` names it. Throws `integrity` for what is damaged, cut off, or
 * followed by other bytes; what `input` and `consume` throw comes through.
 */
export async function decompress(
  compression: "gzip" | "zstd",
  input: AsyncIterable<Uint8Array>,
  on: string,
  consume: (chunks: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<void> {
  const frames = compression === "zstd" ? zstdFrames() : undefined;
  const decompressor =
    compression === "zstd" ? createZstdDecompress({ chunkSize }) : createGunzip({ chunkSize });
  let taken = 0;
  let ended = false;
  async function* passing() {
    for await (const chunk of input) {
      frames?.take(chunk);
      taken += chunk.byteLength;
      // A copy: the decompressor may hold on to it after the buffer is filled anew.
      yield new Uint8Array(chunk);
    }
    ended = true;
  }
  try {
    await pipeline(passing, decompressor, consume);
  } catch (cause) {
    // What comes of a frame that is cut off ends early, which is all that `consume` sees.
    if (ended && frames?.isWhole() === false)
      throw damaged(on, compression, "it is truncated", cause);
    const code = errno(cause);
    // gunzip ends at a zero byte behind a member, and breaks off what would write more of them.
    const followed = code === "ERR_STREAM_PREMATURE_CLOSE" && decompressor.bytesWritten < taken;
    if (followed) throw damaged(on, compression, "other data follows it", cause);
    // zlib's and zstd's own: Z_DATA_ERROR, ZSTD_error_corruption_detected.
    if (!code?.startsWith("Z")) throw cause;
    throw damaged(on, compression, undefined, cause);
  }
  if (decompressor.bytesWritten < taken) throw damaged(on, compression, "other data follows it");
  if (frames?.isWhole() === false) throw damaged(on, compression, "it is truncated");
}

const damaged = (
  on: string,
  compression: string,
  why: string | undefined,
  cause?: unknown,
): OcibundleError => {
  const reason = why === undefined ? "" : `: ${why}`;
  const message = `${on}: the ${compression} data is damaged${reason}`;
  return new OcibundleError("integrity", message, { hint: "create or copy it again", cause });
};
