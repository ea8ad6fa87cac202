import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import type { TempDirectory } from "../../image/conversion/temp-directory.ts";
import type { BlobSource, ByteRange } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { createFile } from "../../runtime/own-file.ts";
import { blobChunks } from "../../store/blob-chunks.ts";
import { writeAll } from "../../store/verified-write.ts";
import { MiB } from "../../transfer/units.ts";
import { randomBytes } from "../weights/random-bytes.ts";
import { unwritable } from "../../runtime/file-faults.ts";

/** A blob of a trial. */
export type TrialDescriptor = Descriptor & { digest: `sha256:${string}` };

/** Random bytes on the disk, which no registry has seen before. */
export interface TrialBody extends AsyncDisposable {
  /** In bytes. */
  size: number;
  source: BlobSource;
  /** What the first `size` bytes are as a blob. */
  prefix(size: number): Promise<TrialDescriptor>;
  /** The hexadecimal sha256 of a part. */
  hash(range: ByteRange): Promise<string>;
}

/** Writes `size` random bytes to a temporary file, which goes with its directory. Throws as `unwritable`: mostly `system`. */
export async function trialBody(
  temp: TempDirectory,
  size: number,
  signal: AbortSignal,
): Promise<TrialBody> {
  const path = await temp.newFile();
  const discard = (): Promise<void> => temp.remove();
  const source: BlobSource = { kind: "file", path, offset: 0 };
  try {
    await writeRandom(path, size, signal);
  } catch (error) {
    await discard();
    throw error;
  }
  const hash = async (range: ByteRange): Promise<string> => {
    const hashed = createHash("sha256");
    for await (const chunk of blobChunks(source, range, signal)) hashed.update(chunk);
    return hashed.digest("hex");
  };
  return {
    size,
    source,
    hash,
    prefix: async (end) => ({
      mediaType: "application/octet-stream",
      digest: `sha256:${await hash({ start: 0, end })}`,
      size: end,
    }),
    [Symbol.asyncDispose]: discard,
  };
}

async function writeRandom(path: string, size: number, signal: AbortSignal): Promise<void> {
  const [seed = 0, stream = 0] = crypto.getRandomValues(new Uint32Array(2));
  const random = randomBytes(seed, stream);
  const words = new Uint32Array(MiB / Uint32Array.BYTES_PER_ELEMENT);
  const piece = new Uint8Array(words.buffer);
  try {
    const file = await createFile(path);
    try {
      for (let at = 0; at < size; at += piece.byteLength) {
        signal.throwIfAborted();
        random.into(words);
        await writeAll(file, piece.subarray(0, Math.min(piece.byteLength, size - at)), at);
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    await rm(path, { force: true }).catch(() => undefined);
    signal.throwIfAborted();
    throw unwritable(path, error);
  }
}
