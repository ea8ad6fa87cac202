import { createHash } from "node:crypto";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type PartPlace, PartPlaces } from "../../runtime/part-places.ts";
import type { PartContent } from "../../store/records/part-records.ts";
import type { Segments } from "../format/segment-list.ts";
import type { PartsArtifact, StoredPart } from "./parts-artifact.ts";
import type { RecipeFile, Split } from "./recipe.ts";
import { writeNumber } from "../format/write-number.ts";

/** A part that a file needs, and where in the file it belongs. */
export interface PlannedPart {
  stored: StoredPart;
  /** Every place. */
  places: PartPlaces;
  /**
   * Places that have each byte of the part once, in the part's order: what comes can be written there.
   * Undefined where the file leaves out some of the part, or has it in overlapping pieces only.
   */
  once: PartPlaces | undefined;
}

/** A file that is put together from parts. */
export interface FilePlan {
  /**
   * Names the content: a digest of which bytes of which parts lie where. Two recipes that mean the same
   * bytes by the same parts have the same.
   */
  key: `sha256:${string}`;
  /** What lies where, from the first byte to the last: pieces of `parts`. */
  segments: Segments;
  /** How the file was cut. */
  split: Split;
  /** In bytes. */
  size: number;
  /** What the recipe says of the whole file, which the parts do not prove. */
  claim: `sha256:${string}`;
  /** In the order in which the file first uses them. */
  parts: readonly PlannedPart[];
  /** A blob that is the whole file, out of which missing parts are fetched, where no part is a blob. */
  blob?: Descriptor;
}

/** The parts that one of a recipe's files needs, in the order in which it first uses them, and its segments of them. */
export function usedParts(
  file: Pick<RecipeFile, "segments">,
  { parts: all }: { parts: readonly StoredPart[] },
): { used: StoredPart[]; segments: Segments } {
  const numbers = new Map<number, number>();
  const used: StoredPart[] = [];
  const segments = file.segments.renumbered((part) => {
    const known = numbers.get(part);
    if (known !== undefined) return known;
    const stored = all[part];
    if (stored === undefined) throw new TypeError(`a recipe's segment names part ${part}`);
    numbers.set(part, used.length);
    return used.push(stored) - 1;
  });
  return { used, segments };
}

/** Which parts one of a recipe's files needs, and where each belongs. */
export function planFile(file: RecipeFile, artifact: PartsArtifact): FilePlan {
  const { used, segments } = usedParts(file, artifact);
  const parts = plannedParts(segments, used);
  const hash = createHash("sha256");
  for (const text of contentText({ segments, parts })) hash.update(text);
  return {
    key: `sha256:${hash.digest("hex")}`,
    segments,
    split: artifact.recipe.split,
    size: file.size,
    claim: file.digest,
    parts,
  };
}

/** Each part with those of the segments that are pieces of it. */
function plannedParts(segments: Segments, parts: readonly StoredPart[]): PlannedPart[] {
  const pieces = segments.byPart(parts.length);
  return parts.map((stored, part) => {
    const own = pieces[part] ?? new Uint32Array(0);
    const numbers = new Float64Array(3 * own.length);
    for (const [at, index] of own.entries()) {
      const { offset, length, position } = segments.at(index);
      numbers[3 * at] = offset;
      numbers[3 * at + 1] = offset + length;
      numbers[3 * at + 2] = position;
    }
    const places = new PartPlaces(numbers);
    return { stored, places, once: places.whole(stored.size) };
  });
}

/** What lies where in a file, from the first byte to the last; nothing is kept of it. */
export const contentOf = ({ segments, parts }: FilePlan): PartContent => ({
  length: segments.length,
  *[Symbol.iterator]() {
    for (const { part, offset, length } of segments) {
      const stored = parts[part]?.stored;
      if (stored === undefined) throw new TypeError(`a plan has no part ${part}`);
      yield [stored.digest, stored.size, offset, offset + length] as const;
    }
  },
});

/** So much of the text is made at once, in bytes; that of a segment is far shorter. */
const textBytes = 64 * 1024;
const mostOfSegment = 256;

/**
 * The document that a plan's `key` is the digest of: its content as compact JSON, in which no character is not ASCII.
 * Each piece is there until the next one is asked for. A file of very many segments has a text of tens of megabytes, of
 * which no more is in memory, and of whose numbers none is a string.
 */
export function* contentText({
  segments,
  parts,
}: Pick<FilePlan, "segments" | "parts">): Generator<Uint8Array, void, undefined> {
  const heads = parts.map(({ stored }) => Buffer.from(`["${stored.digest}",${stored.size},`));
  const buffer = Buffer.allocUnsafe(textBytes);
  let at = buffer.write("[");
  for (let index = 0; index < segments.length; index += 1) {
    if (at > textBytes - mostOfSegment) {
      yield buffer.subarray(0, at);
      at = 0;
    }
    const { part, offset, length } = segments.at(index);
    if (index > 0) buffer[at++] = comma;
    const head = heads[part];
    if (head === undefined) throw new TypeError(`a plan has no part ${part}`);
    buffer.set(head, at);
    at = writeNumber(buffer, offset, at + head.length);
    buffer[at++] = comma;
    at = writeNumber(buffer, offset + length, at);
    buffer[at++] = bracket;
  }
  buffer[at++] = bracket;
  yield buffer.subarray(0, at);
}

const [comma, bracket] = [0x2c, 0x5d];

/** Where in a file each of the wanted parts lies whole. */
export function partsInContent(
  content: PartContent,
  isWanted: (digest: string) => boolean,
): Map<string, PartPlaces> {
  const places = new Map<string, { size: number; places: PartPlace[] }>();
  let position = 0;
  for (const [digest, size, start, end] of content) {
    if (isWanted(digest)) {
      const part = places.get(digest) ?? { size, places: [] };
      part.places.push({ start, end, position });
      places.set(digest, part);
    }
    position += end - start;
  }
  const found = new Map<string, PartPlaces>();
  for (const [digest, part] of places) {
    const sorted = PartPlaces.of(part.places.toSorted((a, b) => a.start - b.start));
    const chain = sorted.whole(part.size);
    if (chain !== undefined) found.set(digest, chain);
  }
  return found;
}

/** The part that is all of a file, which is stored as it would be without parts; undefined where there is none. */
export function wholePart(
  { segments, size }: RecipeFile,
  { parts }: Pick<PartsArtifact, "parts">,
): StoredPart | undefined {
  const part = segments.length === 1 ? parts[segments.at(0).part] : undefined;
  return part?.size === size ? part : undefined;
}
