import { PassThrough, Readable } from "node:stream";
import type { BlobSource } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { shortDigest } from "../../oci/digest.ts";
import { blobChunks } from "../../store/blob-chunks.ts";
import { decodePart, type StoredForm } from "../parts/decode-part.ts";

/**
 * What a blob is of that is stored in another form. Compressed data can't be entered in the middle: each range is
 * read from the beginning, and what is before it is dropped.
 */
export function decodedSource(
  stored: BlobSource,
  { digest, size }: Descriptor,
  form: StoredForm,
): BlobSource {
  if (form.encoding === "none") return stored;
  return {
    kind: "stream",
    open({ start, end }, signal) {
      const output = new PassThrough();
      const input = blobChunks(stored, { start: 0, end: size }, signal);
      const on = `blob ${shortDigest(digest)}`;
      let at = 0;
      decodePart(form, input, on, async (chunks) => {
        for await (const chunk of chunks) {
          const part = chunk.subarray(Math.max(0, start - at), Math.max(0, end - at));
          at += chunk.byteLength;
          if (part.byteLength === 0) continue;
          // A copy, since what is written is read when the memory is used again.
          if (!output.write(new Uint8Array(part))) await drained(output);
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

/** Resolves when more may be written, or when nobody reads any more. No listener of its own stays. */
const drained = (output: PassThrough): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      output.off("drain", done);
      output.off("close", done);
      resolve();
    };
    if (output.destroyed) {
      done();
      return;
    }
    output.on("drain", done);
    output.on("close", done);
  });
