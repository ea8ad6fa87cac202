import { Buffer } from "node:buffer";
import { dropOldest } from "../../flow/drop-oldest.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { shortDigest } from "../../oci/digest.ts";
import { blobBytes, blobChunks } from "../../store/blob-chunks.ts";
import { decodePart, type StoredForm } from "../parts/decode-part.ts";
import { blobOfPart, type PartsArtifact } from "../parts/parts-artifact.ts";
import type { RecipeFile } from "../parts/recipe.ts";
import type { SegmentPiece } from "../format/segment-list.ts";
import type { ReadAt } from "../tensors/read-at.ts";

/** Of what is compressed no more is decompressed in memory, in bytes: a header is at the beginning. */
const mostDecompressed = 24 * 1024 * 1024;
const firstDecompressed = 1024 * 1024;

/** Thrown for bytes that lie too far behind the beginning of what is compressed. */
export class TooFar extends Error {}

/** Thrown inside when enough is decompressed. */
class Enough extends Error {}

/** Reads from a blob, or a part of one, by ranges. */
export const rangeReader =
  (
    reader: ContentReader,
    { blob, offset, size }: { blob: Descriptor; offset: number; size: number },
    signal: AbortSignal,
  ): ReadAt =>
  async (position, length) => {
    const end = Math.min(position + length, size);
    if (end <= position) return new Uint8Array(0);
    const source = await reader.blobSource(blob, signal);
    return blobBytes(source, { start: offset + position, end: offset + end }, signal);
  };

/** Reads the beginning of what a blob is compressed from. */
export function compressedReader(
  reader: ContentReader,
  blob: Descriptor,
  form: StoredForm,
  signal: AbortSignal,
): ReadAt {
  let known: Uint8Array = new Uint8Array(0);
  let isWhole = false;
  const decode = async (wanted: number): Promise<void> => {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    const source = await reader.blobSource(blob, signal);
    const input = blobChunks(source, { start: 0, end: blob.size }, signal);
    try {
      await decodePart(form, input, `blob ${shortDigest(blob.digest)}`, async (decoded) => {
        for await (const chunk of decoded) {
          chunks.push(new Uint8Array(chunk));
          bytes += chunk.byteLength;
          if (bytes >= wanted) throw new Enough();
        }
      });
      isWhole = true;
    } catch (error) {
      if (!(error instanceof Enough)) throw error;
    }
    known = new Uint8Array(Buffer.concat(chunks));
  };
  return async (position, length) => {
    const end = position + length;
    if (known.byteLength < end && !isWhole) {
      if (end > mostDecompressed) throw new TooFar();
      await decode(
        Math.min(mostDecompressed, Math.max(end, firstDecompressed, 2 * known.byteLength)),
      );
    }
    return known.subarray(position, Math.min(end, known.byteLength));
  };
}

/** Each of what is compressed keeps what was decompressed of it; a header lies in few parts. */
const readersKept = 4;

/** Reads from a file that is stored in parts. */
export function partsReader(
  reader: ContentReader,
  { segments }: Pick<RecipeFile, "segments">,
  { parts }: Pick<PartsArtifact, "parts">,
  signal: AbortSignal,
): ReadAt {
  const readers = new Map<number, ReadAt>();
  const readerOf = (index: number): ReadAt => {
    const known = readers.get(index);
    if (known !== undefined) return known;
    const part = parts[index];
    if (part === undefined) throw new TypeError(`a recipe has no part ${index}`);
    const { encoding } = part;
    const blob = blobOfPart(part);
    const made =
      encoding === "none"
        ? rangeReader(reader, { blob, offset: 0, size: part.size }, signal)
        : compressedReader(reader, blob, part, signal);
    readers.set(index, made);
    dropOldest(readers, readersKept);
    return made;
  };
  return async (position, length) => {
    const runs = runsOf(segments.within({ start: position, end: position + length }));
    const [first, ...others] = runs;
    if (first === undefined) return new Uint8Array(0);
    if (others.length === 0) return readerOf(first.part)(first.start, first.end - first.start);
    const bytes = new Uint8Array(runs.reduce((sum, { start, end }) => sum + end - start, 0));
    let known = bytes.length;
    for (const { part, start, end, pieces } of runs) {
      const read = await readerOf(part)(start, end - start);
      for (const piece of pieces) {
        const some = read.subarray(piece.start, piece.end);
        bytes.set(some, piece.at);
        // Where a part ends too early, so does what is read.
        if (some.length < piece.end - piece.start) known = Math.min(known, piece.at + some.length);
      }
    }
    return bytes.subarray(0, known);
  };
}

/** Bytes `start` up to `end` of a part, and where in what is read the pieces of them belong. */
interface Run {
  part: number;
  start: number;
  end: number;
  pieces: { start: number; end: number; at: number }[];
}

/**
 * What follows one another in a part is read at once, although there is something of other parts between: headers
 * between the entries of an archive are one part, small entries another, and a request for each takes minutes.
 */
function runsOf(found: readonly SegmentPiece[]): Run[] {
  const runs: Run[] = [];
  const last = new Map<number, Run>();
  let at = 0;
  for (const { segment, start, end } of found) {
    const { part, offset } = segment;
    let run = last.get(part);
    if (run?.end !== offset + start) {
      run = { part, start: offset + start, end: offset + start, pieces: [] };
      runs.push(run);
      last.set(part, run);
    }
    const from = run.end - run.start;
    run.pieces.push({ start: from, end: from + end - start, at });
    run.end += end - start;
    at += end - start;
  }
  return runs;
}
