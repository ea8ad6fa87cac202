import type { ByteRange } from "../../oci/content.ts";
import type { PartPlace } from "../../runtime/worker-protocol.ts";
import { cutChunks } from "./chunks.ts";
import type { AssemblyFile, PartialFile } from "./partial-file.ts";
import { type RangeSet, rangeSet } from "./range-set.ts";

/**
 * A part as a file of its own, whose bytes are written to their places in a larger file. The places have each
 * byte of the part once, in its order. Closing it leaves the larger file open.
 */
export function partView(file: AssemblyFile, places: readonly PartPlace[]): PartialFile {
  const written = rangeSet(places.flatMap((place) => rangesIn(file.written, place)));
  const claimed = rangeSet(written.ranges);
  const resumed = written.bytes;
  return {
    resumed,
    written,
    missing: (range) => claimed.missing(range),
    async write(position, chunks) {
      const end = chunks.reduce((sum, chunk) => sum + chunk.length, position);
      const gaps = claimed.missing({ start: position, end });
      for (const gap of gaps) claimed.add(gap);
      for (const gap of gaps) {
        for (const place of placesOf(places, gap)) {
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

/** What of a place is there in the larger file, as ranges of the part. */
function rangesIn(written: RangeSet, { start, end, position }: PartPlace): ByteRange[] {
  const there = rangeSet([{ start: position, end: position + end - start }]);
  for (const gap of written.missing({ start: position, end: position + end - start })) {
    there.remove(gap);
  }
  return there.ranges.map((range) => ({
    start: range.start - position + start,
    end: range.end - position + start,
  }));
}

/** The places that a range of the part touches: the first is found by halving, since there can be many. */
function* placesOf(places: readonly PartPlace[], { start, end }: ByteRange): Generator<PartPlace> {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((places[middle]?.end ?? Infinity) <= start) low = middle + 1;
    else high = middle;
  }
  for (let place = places[low]; place !== undefined && place.start < end; place = places[++low]) {
    yield place;
  }
}
