import { createHash } from "node:crypto";
import { PartPlaces } from "../../runtime/part-places.ts";
import type { LockParts } from "./lock-parts.ts";
import type { Segments } from "../format/segment-list.ts";
import { writeNumber } from "../format/write-number.ts";
import { maxParts } from "./recipe.ts";

/** What a file must have where, to be what a list of parts and segments makes. */
export interface WholeParts {
  /** Whole parts, which have every byte of the file once: a part that the file has twice is there twice. */
  plan: PartPlaces[];
  /** What each must have as its digest. */
  digests: `sha256:${string}`[];
  /** Names the plan, for records: two lists with one name take the same bytes from a file. */
  name: string;
}

/**
 * The parts of a file as pieces of the file, each in the file's order, so that one pass over its bytes can hash them.
 * Undefined where the segments do not make whole parts of the file, or leave a part out: then the file alone does not
 * tell whether the list is right. No rule makes such segments, or more than 100,000 parts that are the same: a byte that
 * a file has a million times would be a million parts to hash.
 */
export function wholeParts({ parts, segments }: LockParts): WholeParts | undefined {
  if (beginnings(segments) > maxParts) return undefined;
  const pieces = segments.byPart(parts.length);
  const plan: PartPlaces[] = [];
  const digests: WholeParts["digests"] = [];
  for (const [index, { digest, size }] of parts.entries()) {
    const own = pieces[index] ?? new Uint32Array(0);
    const chains = oneChain(segments, own, size) ?? chainsOf(placesInFile(segments, own), size);
    if (chains === undefined) return undefined;
    for (const chain of chains) {
      plan.push(chain);
      digests.push(digest);
    }
  }
  return { plan, digests, name: nameOf(segments, parts) };
}

/** How many pieces begin where their parts do: each of them is one of the whole parts, if they are whole. */
function beginnings(segments: Segments): number {
  let count = 0;
  segments.each((_part, offset) => (count += offset === 0 ? 1 : 0));
  return count;
}

/** A piece of a part: where in the part it begins and ends, and where in the file. */
interface Place {
  offset: number;
  after: number;
  start: number;
  end: number;
}

/** The pieces of a part by their indexes, in the order of the file. */
const placesInFile = (segments: Segments, own: Uint32Array): Place[] =>
  Array.from(own.toSorted(), (piece) => {
    const { offset, length, position } = segments.at(piece);
    return { offset, after: offset + length, start: position, end: position + length };
  });

/** The pieces of a part, in its order, where they have each byte of it once and follow one another in the file. */
function oneChain(segments: Segments, own: Uint32Array, size: number): PartPlaces[] | undefined {
  const numbers = new Float64Array(3 * own.length);
  let at = 0;
  let before = -1;
  for (const [index, piece] of own.entries()) {
    const { offset, length, position } = segments.at(piece);
    if (offset !== at || piece < before) return undefined;
    numbers[3 * index] = at;
    at += length;
    numbers[3 * index + 1] = at;
    numbers[3 * index + 2] = position;
    before = piece;
  }
  return at === size && own.length > 0 ? [new PartPlaces(numbers)] : undefined;
}

/**
 * The places of a part, in the order of the file, as whole parts. Where several pieces of the part end in one place,
 * as many must begin there, and each of them behind its own in the file: the first belongs to the first.
 */
function chainsOf(places: readonly Place[], size: number): PartPlaces[] | undefined {
  const from = Map.groupBy(places, ({ offset }) => offset);
  const upTo = Map.groupBy(places, ({ after }) => after);
  const next = new Map<Place, Place>();
  for (const [after, before] of upTo) {
    if (after === size) continue;
    const behind = from.get(after) ?? [];
    if (behind.length !== before.length) return undefined;
    for (const [index, place] of before.entries()) {
      const following = behind[index];
      if (following === undefined || following.start < place.end) return undefined;
      next.set(place, following);
    }
  }
  const first = from.get(0) ?? [];
  if (first.length === 0) return undefined;
  for (const offset of from.keys()) {
    if (offset !== 0 && !upTo.has(offset)) return undefined;
  }
  return first.map((place) => {
    const chain: Place[] = [];
    for (let at: Place | undefined = place; at !== undefined; at = next.get(at)) chain.push(at);
    return PartPlaces.together(chain);
  });
}

function nameOf(segments: Segments, parts: LockParts["parts"]): string {
  const hash = createHash("sha256");
  for (const { size } of parts) hash.update(`${size},`);
  const buffer = Buffer.allocUnsafe(textBytes);
  let at = 0;
  segments.each((part, offset, length) => {
    if (at > textBytes - mostOfSegment) {
      hash.update(buffer.subarray(0, at));
      at = 0;
    }
    buffer[at++] = semicolon;
    at = writeNumber(buffer, part, at);
    buffer[at++] = comma;
    at = writeNumber(buffer, offset, at);
    buffer[at++] = comma;
    at = writeNumber(buffer, length, at);
  });
  hash.update(buffer.subarray(0, at));
  return `segments ${hash.digest("hex")}`;
}

/** So much of the text of segments is made at once, in bytes; that of one is far shorter. */
const textBytes = 64 * 1024;
const mostOfSegment = 256;
const [comma, semicolon] = [0x2c, 0x3b];
