import { PassThrough, Readable } from "node:stream";
import { decompress } from "../../image/conversion/decompress.ts";
import type { BlobSource } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { shortDigest } from "../../oci/digest.ts";
import { blobChunks } from "../../store/blob-chunks.ts";
import type { Compression } from "../format/weight-entry.ts";

/**
 * What a compressed blob decompresses to. Compressed data can't be entered in the middle: each range is
 * read from the beginning, and what is before it is dropped.
 */
export function decodedSource(
  stored: BlobSource,
  { digest, size }: Descriptor,
  compression: Compression,
): BlobSource {
  if (compression === "none") return stored;
  return {
    kind: "stream",
    open({ start, end }, signal) {
      const output = new PassThrough();
      const input = blobChunks(stored, { start: 0, end: size }, signal);
      const on = `blob ${shortDigest(digest)}`;
      let at = 0;
      decompress(compression, input, on, async (chunks) => {
        for await (const chunk of chunks) {
          const part = chunk.subarray(Math.max(0, start - at), Math.max(0, end - at));
          at += chunk.byteLength;
          if (part.byteLength === 0) continue;
          if (!output.write(part)) await drained(output);
          if (output.destroyed) return;
        }
      }).then(
        () => output.end(),
        (error: unknown) => {
          output.destroy(error instanceof Error ? error : new Error(String(error)));
        },
      );
      return Promise.resolve(Readable.toWeb(output) as unknown as ReadableStream<Uint8Array>);
    },
  };
}

const drained = (output: PassThrough): Promise<void> =>
  new Promise((resolve) => {
    output.once("drain", resolve);
    output.once("close", resolve);
  });
