import { createHash } from "node:crypto";
import { closeSync, readSync, writeSync } from "node:fs";
import { readableMode, replaceFile } from "./own-file.ts";
import { type PlaneCodec, type PlaneEncoder, planeEncoder, planeWidths } from "./plane-codec.ts";
import { type CompressJob, type Compressed, fileEndedCode } from "./worker-protocol.ts";
import { openRegularSync } from "./regular-file.ts";

const readBytes = 256 * 1024;

/**
 * Encodes a range of a file as planes into another file, and hashes both sides in the same pass. Blocks. Behaves as
 * `compressFile` does.
 */
export async function encodePlanesFile(
  {
    input,
    codec,
    output,
    isTemporary,
  }: Omit<CompressJob, "codec" | "level"> & { codec: PlaneCodec },
  onChunk?: (bytes: number) => void,
): Promise<Compressed> {
  const [before, after] = [createHash("sha256"), createHash("sha256")];
  let size = 0;
  let encoder: PlaneEncoder | undefined;
  const from = openRegularSync(input.path);
  try {
    const to = await replaceFile(output, readableMode);
    try {
      encoder = planeEncoder({
        width: planeWidths[codec],
        emit(bytes) {
          after.update(bytes);
          for (let done = 0; done < bytes.length;) done += writeSync(to.fd, bytes, done);
          size += bytes.length;
        },
      });
      for (let at = input.start; at < input.end;) {
        // Into the encoder's memory, so that nothing is copied.
        const room = encoder.room();
        const most = Math.min(readBytes, room.length, input.end - at);
        const bytes = readSync(from, room, 0, most, at);
        if (bytes === 0) {
          const message = `${input.path}: the file ended before byte ${input.end}`;
          throw Object.assign(new Error(message), { code: fileEndedCode });
        }
        before.update(room.subarray(0, bytes));
        encoder.filled(bytes);
        at += bytes;
        onChunk?.(bytes);
      }
      encoder.end();
      if (isTemporary !== true) await to.sync();
    } finally {
      await to.close();
    }
  } finally {
    encoder?.close();
    closeSync(from);
  }
  return {
    input: { digest: `sha256:${before.digest("hex")}`, size: input.end - input.start },
    output: { digest: `sha256:${after.digest("hex")}`, size },
  };
}
