import { createHash } from "node:crypto";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { PartPlace } from "../../runtime/worker-protocol.ts";
import type { PartContent } from "../../store/records/part-records.ts";
import type { PartsArtifact, StoredPart } from "./parts-artifact.ts";
import type { RecipeFile, Segment, Split } from "./recipe.ts";

/** A part that a file needs, and where in the file it belongs. */
export interface PlannedPart {
  stored: StoredPart;
  /** Every place, in the order of their starts in the part. */
  places: readonly PartPlace[];
  /**
   * Places that have each byte of the part once, in the part's order: what comes can be written there.
   * Undefined where the file leaves out some of the part, or has it in overlapping pieces only.
   */
  once: readonly PartPlace[] | undefined;
}

/** A file that is put together from parts. */
export interface FilePlan {
  /**
   * Names the content: a digest of which bytes of which parts lie where. Two recipes that mean the same
   * bytes by the same parts have the same.
   */
  key: `sha256:${string}`;
  /** What lies where, from the first byte to the last: made when it is asked for, since it can be very long. */
  content(): PartContent;
  /** The document that `key` is the digest of: `content` as compact JSON. */
  contentBytes(): Uint8Array;
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

/** Which parts one of a recipe's files needs, and where each belongs. */
export function planFile(file: RecipeFile, { parts, recipe }: PartsArtifact): FilePlan {
  const places = new Map<number, PartPlace[]>();
  let position = 0;
  for (const [part, start, length] of file.segments) {
    const stored = parts[part];
    if (stored === undefined) throw new TypeError(`a recipe's segment names part ${part}`);
    const place = { start, end: start + length, position };
    position += length;
    const others = places.get(part);
    if (others === undefined) places.set(part, [place]);
    else others.push(place);
  }
  const { segments } = file;
  const hash = createHash("sha256");
  let documentBytes = 0;
  for (const text of contentText(segments, parts)) {
    hash.update(text);
    documentBytes += text.length;
  }
  return {
    key: `sha256:${hash.digest("hex")}`,
    content: () => segments.map((segment) => contentOf(segment, parts)),
    contentBytes() {
      const bytes = Buffer.allocUnsafe(documentBytes);
      let at = 0;
      for (const text of contentText(segments, parts)) {
        bytes.set(text, at);
        at += text.length;
      }
      return bytes;
    },
    split: recipe.split,
    size: file.size,
    claim: file.digest,
    parts: [...places].map(([part, unsorted]) => {
      const stored = parts[part];
      if (stored === undefined) throw new TypeError(`a recipe has no part ${part}`);
      const sorted = unsorted.toSorted((a, b) => a.start - b.start);
      return { stored, places: sorted, once: chainOf(sorted, stored.size) };
    }),
  };
}

function contentOf(
  [part, start, length]: Segment,
  parts: readonly StoredPart[],
): PartContent[number] {
  const stored = parts[part];
  if (stored === undefined) throw new TypeError(`a recipe's segment names part ${part}`);
  return [stored.digest, stored.size, start, start + length];
}

/** So much of the text is made at once, in bytes; that of a segment is far shorter. */
const textBytes = 64 * 1024;
const mostOfSegment = 256;

/**
 * A content as compact JSON: nothing in it has a character that is not ASCII. Each piece is there until the next one is
 * asked for. A file of very many segments has a text of tens of megabytes, of which no more is in memory.
 */
function* contentText(
  segments: readonly Segment[],
  parts: readonly StoredPart[],
): Generator<Uint8Array> {
  const buffer = Buffer.allocUnsafe(textBytes);
  const heads = parts.map(({ digest, size }) => `["${digest}",${size},`);
  let at = buffer.write("[", 0, "latin1");
  for (const [index, [part, start, length]] of segments.entries()) {
    if (at > textBytes - mostOfSegment) {
      yield buffer.subarray(0, at);
      at = 0;
    }
    if (index > 0) at += buffer.write(",", at, "latin1");
    at += buffer.write(heads[part] ?? "", at, "latin1");
    at += buffer.write(`${start},${start + length}]`, at, "latin1");
  }
  at += buffer.write("]", at, "latin1");
  yield buffer.subarray(0, at);
}

/** Where in a file each of the wanted parts lies whole. */
export function partsInContent(
  content: PartContent,
  isWanted: (digest: string) => boolean,
): Map<string, readonly PartPlace[]> {
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
  const found = new Map<string, readonly PartPlace[]>();
  for (const [digest, part] of places) {
    const chain = chainOf(
      part.places.toSorted((a, b) => a.start - b.start),
      part.size,
    );
    if (chain !== undefined) found.set(digest, chain);
  }
  return found;
}

/** The first places that follow one another from the first byte to the last. */
function chainOf(places: readonly PartPlace[], size: number): PartPlace[] | undefined {
  const chain: PartPlace[] = [];
  let at = 0;
  for (const place of places) {
    if (place.start !== at || at === size) continue;
    chain.push(place);
    at = place.end;
  }
  return at === size ? chain : undefined;
}

/** The part that is all of a file, which is stored as it would be without parts; undefined where there is none. */
export function wholePart(
  { segments, size }: RecipeFile,
  { parts }: Pick<PartsArtifact, "parts">,
): StoredPart | undefined {
  const [first, second] = segments;
  const part = first === undefined || second !== undefined ? undefined : parts[first[0]];
  return part?.size === size ? part : undefined;
}
