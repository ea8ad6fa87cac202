import { chunkSource, passing } from "../../flow/passing.ts";
import type { BlobSource, ByteRange } from "../../oci/content.ts";
import { blobBytes, blobChunks } from "../../store/blob-chunks.ts";
import { KiB, MiB } from "../../transfer/units.ts";

/** Opens a source when its bytes are needed. */
export type OpenSource = (signal: AbortSignal) => Promise<BlobSource>;

/** Where some of the bytes of a content lie: `start` up to but not including `end` of a source of `size` bytes. */
export interface Stretch extends ByteRange {
  /** The same function for each stretch of one source. */
  source: OpenSource;
  size: number;
}

/** Shorter stretches are read ahead, and passed on together: a part can have a hundred thousand of them. In bytes. */
const shortStretch = 64 * KiB;

/** What is read ahead of one source at most, and of all together, in bytes. */
const mostAhead = MiB;
const mostOfAll = 16 * MiB;

/** Stretches of sources as one source, their bytes one after another. */
export const joined = (stretches: Iterable<Stretch>): BlobSource => ({
  kind: "stream",
  open: (range, signal) =>
    Promise.resolve(passing(chunkSource(chunksOf(clipped(stretches, range), signal)))),
});

/** What of pieces that follow one another lies in a range of what they make together. */
export function* clipped<Piece extends ByteRange>(
  pieces: Iterable<Piece>,
  range: ByteRange,
): Generator<Piece, void, undefined> {
  let at = 0;
  for (const piece of pieces) {
    if (at >= range.end) return;
    const { start, end } = piece;
    const from = Math.max(range.start, at);
    const to = Math.min(range.end, at + end - start);
    if (from < to) yield { ...piece, start: start + from - at, end: start + to - at };
    at += end - start;
  }
}

/** The bytes of stretches, in chunks that are the receiver's to keep. */
async function* chunksOf(
  stretches: Iterable<Stretch>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const readShort = aheadReader(signal);
  let gathered = new Uint8Array(shortStretch);
  let filled = 0;
  for (const stretch of stretches) {
    const { start, end, source } = stretch;
    const isShort = end - start < shortStretch;
    if (filled > 0 && (!isShort || end - start > shortStretch - filled)) {
      yield gathered.subarray(0, filled);
      gathered = new Uint8Array(shortStretch);
      filled = 0;
    }
    if (isShort) {
      const bytes = await readShort(stretch);
      gathered.set(bytes, filled);
      filled += bytes.length;
      continue;
    }
    for await (const chunk of blobChunks(await source(signal), { start, end }, signal)) {
      // A copy: a chunk's memory is used again when the next one is asked for. Not `slice`, which makes none of a Buffer.
      yield new Uint8Array(chunk);
    }
  }
  if (filled > 0) yield gathered.subarray(0, filled);
}

/** What was read of a source: bytes from `start` on. */
interface Ahead {
  start: number;
  bytes: Uint8Array;
}

/**
 * Reads short stretches. Where they follow one another in their source, more is read at a time, four times as much each
 * time: what is read ahead and not used is at most a few times what is. Bytes are missing only where the source ends
 * too early: whoever verifies notices.
 */
function aheadReader(signal: AbortSignal): (stretch: Stretch) => Promise<Uint8Array> {
  // By the last use.
  const known = new Map<OpenSource, Ahead>();
  let held = 0;
  const forget = (source: OpenSource): void => {
    held -= known.get(source)?.bytes.length ?? 0;
    known.delete(source);
  };
  const keep = (source: OpenSource, ahead: Ahead): void => {
    forget(source);
    known.set(source, ahead);
    held += ahead.bytes.length;
    for (const oldest of known.keys()) {
      if (held <= mostOfAll) return;
      forget(oldest);
    }
  };
  return async ({ start, end, source, size }) => {
    let ahead = known.get(source);
    if (ahead === undefined || start < ahead.start || end > ahead.start + ahead.bytes.length) {
      const before = ahead?.bytes.length ?? 0;
      const follows = ahead !== undefined && start >= ahead.start && start <= ahead.start + before;
      // Where many sources take turns, each has less.
      const most = Math.min(4 * before, mostAhead, mostOfAll / Math.max(1, known.size));
      const until = follows ? Math.max(end, Math.min(start + Math.floor(most), size)) : end;
      ahead = {
        start,
        bytes: await blobBytes(await source(signal), { start, end: until }, signal),
      };
    }
    keep(source, ahead);
    return ahead.bytes.subarray(start - ahead.start, end - ahead.start);
  };
}
