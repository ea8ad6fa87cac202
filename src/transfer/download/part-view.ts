import type { ByteRange } from "../../oci/content.ts";
import type { PartPlace, PartPlaces } from "../../runtime/part-places.ts";
import { cutChunks } from "./chunks.ts";
import { type AssemblyFile, type PartialFile, type Piece, shortPiece } from "./partial-file.ts";
import { type RangeSet, rangeSet } from "./range-set.ts";

/**
 * A part as a file of its own, whose bytes are written to their places in a larger file. The places have each
 * byte of the part once, in its order. Closing it leaves the larger file open.
 */
export function partView(file: AssemblyFile, places: PartPlaces): PartialFile {
  return places.length === 1 ? viewAt(file, places.at(0)) : viewOfMany(file, places);
}

/** Most parts lie in one place: their ranges are those of the file, moved. */
function viewAt(file: AssemblyFile, { start, end, position }: PartPlace): PartialFile {
  const by = position - start;
  const own = moved({ start, end }, by);
  const written = {
    get bytes() {
      const gaps = file.written.missing(own);
      return gaps.reduce((bytes, gap) => bytes - (gap.end - gap.start), end - start);
    },
  };
  return {
    resumed: written.bytes,
    written,
    missing: (range) => file.missing(moved(range, by)).map((gap) => moved(gap, -by)),
    write: (at, chunks) => file.write(at + by, chunks),
    close: () => Promise.resolve(),
  };
}

const moved = ({ start, end }: ByteRange, by: number): ByteRange => ({
  start: start + by,
  end: end + by,
});

function viewOfMany(file: AssemblyFile, places: PartPlaces): PartialFile {
  const written = writtenAt(places, file.written);
  const claimed = rangeSet(written);
  const resumed = written.bytes;
  const size = places.length === 0 ? 0 : places.at(places.length - 1).end;
  const isScattered = places.length >= manyPieces && size / places.length < shortPiece;
  return {
    resumed,
    written,
    missing: (range) => claimed.missing(range),
    async write(position, chunks) {
      const end = chunks.reduce((sum, chunk) => sum + chunk.length, position);
      const gaps = claimed.missing({ start: position, end });
      for (const gap of gaps) claimed.add(gap);
      for (const gap of gaps) {
        if (isScattered) {
          await file.writePieces(piecesOf(places.within(gap), gap, chunks, position));
          written.add(gap);
          continue;
        }
        for (const place of places.within(gap)) {
          const at = place.position + Math.max(0, gap.start - place.start);
          const part = {
            start: Math.max(gap.start, place.start),
            end: Math.min(gap.end, place.end),
          };
          await file.write(at, cutChunks(chunks, position, part));
          written.add(part);
        }
      }
    },
    close: () => Promise.resolve(),
  };
}

/** So many places a part has at least that is written piece by piece in one go. */
const manyPieces = 64;

/** The bytes of chunks, which begin at `position` in the part, as pieces of the larger file. Both are in order. */
function* piecesOf(
  places: Iterable<PartPlace>,
  gap: ByteRange,
  chunks: readonly Uint8Array[],
  position: number,
): Generator<Piece> {
  let index = 0;
  for (const place of places) {
    const end = Math.min(place.end, gap.end);
    for (let at = Math.max(place.start, gap.start); at < end;) {
      const chunk = chunks[index];
      if (chunk === undefined) return;
      const offset = at - position;
      const length = Math.min(end - at, chunk.length - offset);
      if (length > 0) {
        yield { position: place.position + at - place.start, chunk, offset, length };
        at += length;
      }
      if (at < position + chunk.length) continue;
      position += chunk.length;
      index += 1;
    }
  }
}

/** What of places is there in the larger file, as ranges of the part. */
function writtenAt(places: PartPlaces, written: RangeSet): RangeSet {
  const inPart = rangeSet();
  places.each((start, end, position) => {
    let at = start;
    for (const gap of written.missing({ start: position, end: position + end - start })) {
      inPart.add({ start: at, end: gap.start - position + start });
      at = gap.end - position + start;
    }
    inPart.add({ start: at, end });
  });
  return inPart;
}
