import { chunkSource, passing } from "../../flow/passing.ts";
import type { BlobSource, ByteRange } from "../../oci/content.ts";
import { blobChunks } from "../../store/blob-chunks.ts";
import { filePieces } from "../../store/file-pieces.ts";

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
  open: (range, signal) =>
    Promise.resolve(passing(chunkSource(chunksOf(stretches, range, signal)))),
});

/** Pieces of a file as one source, their bytes one after another. The file is opened once for all of them. */
export const gathered = (
  { path, offset, check }: BlobSource & { kind: "file" },
  pieces: readonly ByteRange[],
): BlobSource => ({
  kind: "stream",
  async open(range, signal) {
    await check?.();
    const wanted = clipped(pieces, range).map(({ start, end }) => ({
      start: offset + start,
      end: offset + end,
    }));
    return passing(filePieces(path, wanted, signal));
  },
});

/** What of pieces that follow one another lies in a range of what they make together. */
function clipped<Piece extends ByteRange>(pieces: readonly Piece[], range: ByteRange): Piece[] {
  let at = 0;
  return pieces.flatMap((piece) => {
    const { start, end } = piece;
    const from = Math.max(range.start, at);
    const to = Math.min(range.end, at + end - start);
    const part = { ...piece, start: start + from - at, end: start + to - at };
    at += end - start;
    return from < to ? [part] : [];
  });
}

/** The bytes of a range of stretches that follow one another. */
async function* chunksOf(
  stretches: readonly Stretch[],
  range: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const { start, end, source } of clipped(stretches, range)) {
    for await (const chunk of blobChunks(await source(signal), { start, end }, signal)) {
      // A copy: a chunk's memory is used again when the next one is asked for. Not `slice`, which makes none of a Buffer.
      yield new Uint8Array(chunk);
    }
  }
}
