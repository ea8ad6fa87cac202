import type { BlobSource, ByteRange } from "../../oci/content.ts";
import { blobChunks } from "../../store/blob-chunks.ts";

/** A source whose bytes begin at an offset of another's. */
export function shifted(source: BlobSource, offset: number): BlobSource {
  switch (source.kind) {
    case "bytes":
      return { kind: "bytes", bytes: source.bytes.subarray(offset) };
    case "file":
      return { ...source, offset: source.offset + offset };
    case "stream":
      return {
        kind: "stream",
        open: ({ start, end }: ByteRange, signal, until = end) =>
          source.open({ start: start + offset, end: end + offset }, signal, until + offset),
      };
  }
}

/** Where some of the bytes of a content lie: `start` up to but not including `end` of a source. */
export interface Stretch extends ByteRange {
  /** Opened when its bytes are needed. */
  source(signal: AbortSignal): Promise<BlobSource>;
}

/** Stretches of sources as one source, their bytes one after another. One is opened at a time. */
export const joined = (stretches: readonly Stretch[]): BlobSource => ({
  kind: "stream",
  open: ({ start, end }, signal) => {
    const chunks = chunksOf(stretches, { start, end }, signal);
    return Promise.resolve(
      new ReadableStream<Uint8Array>({
        async pull(controller) {
          try {
            const { done, value } = await chunks.next();
            if (done === true) controller.close();
            // A copy: a chunk's memory is used again when the next one is asked for.
            else controller.enqueue(Uint8Array.from(value));
          } catch (error) {
            controller.error(error);
          }
        },
        async cancel() {
          await chunks.return(undefined);
        },
      }),
    );
  },
});

/** The bytes of a range of stretches that follow one another. */
async function* chunksOf(
  stretches: readonly Stretch[],
  range: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  let at = 0;
  for (const { start, end, source } of stretches) {
    const from = Math.max(range.start, at);
    const to = Math.min(range.end, at + end - start);
    const part = { start: start + from - at, end: start + to - at };
    at += end - start;
    if (from >= to) continue;
    yield* blobChunks(await source(signal), part, signal);
  }
}
