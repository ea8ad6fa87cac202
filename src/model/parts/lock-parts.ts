import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import { SizeSchema } from "../../oci/descriptor.ts";
import { lockPartsMember, quoted, type WeightEntry } from "../format/weight-entry.ts";
import { asItIs, type PartEncoding, type StoredPart } from "./parts-artifact.ts";
import { maxSegments, type Segments } from "../format/segment-list.ts";
import { faultOfSegments, maxParts, SegmentsSchema, type Split, SplitSchema } from "./recipe.ts";

/** How an entry of a lock is split: its own parts, and its segments by their indexes. */
export interface LockParts {
  split: Split;
  parts: StoredPart[];
  segments: Segments;
}

const Hex = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, "must be 64 lower-case hex digits"));
const Suffix = v.picklist(["+zstd", "+bp2.zstd", "+bp4.zstd"]);

const LockPartsSchema = v.looseObject({
  split: SplitSchema,
  parts: v.pipe(
    v.array(
      v.union(
        [
          v.strictTuple([Hex, SizeSchema]),
          v.strictTuple([Hex, SizeSchema, Hex, SizeSchema, Suffix]),
        ],
        "must be a digest, a size and an encoding",
      ),
    ),
    v.maxLength(maxParts, `must be ${maxParts} parts at most`),
  ),
  segments: v.pipe(
    SegmentsSchema,
    v.check(({ length }) => length <= maxSegments, `must be ${maxSegments} segments at most`),
  ),
});

/**
 * What a lock says of the parts of a file, or undefined. Throws `file`, naming the entry and the rule.
 */
export function lockPartsOf(entry: WeightEntry, on: string): LockParts | undefined {
  const said = entry[lockPartsMember];
  if (said === undefined) return undefined;
  const refuse = (fault: string) =>
    new OcibundleError("file", `${on}: entry ${quoted(entry.name)}: ${lockPartsMember}: ${fault}`, {
      hint: "run `ocibundle lock` again",
    });
  const result = v.safeParse(LockPartsSchema, said);
  if (!result.success) {
    const [issue] = result.issues;
    const path = v.getDotPath(issue);
    if (path === null) throw refuse("must be an object");
    throw refuse(`${path}: ${issue.received === "undefined" ? "is missing" : issue.message}`);
  }
  const { split, parts, segments } = result.output;
  const fault = faultOfSegments(segments, parts, entry.sizeUncompressed);
  if (fault !== undefined) throw refuse(fault);
  return { split, segments, parts: parts.map(storedPart) };
}

/** A part that is one piece of its file, and where in the file it begins, in bytes. */
export interface PieceOfFile {
  part: StoredPart;
  start: number;
}

/** The parts that are one piece of their file each: nobody has to decode a part once for each piece. */
export function piecesOf({ parts, segments }: LockParts): PieceOfFile[] {
  const uses = new Map<number, number>();
  for (const { part } of segments) uses.set(part, (uses.get(part) ?? 0) + 1);
  const pieces: PieceOfFile[] = [];
  for (const { part: index, offset, length, position } of segments) {
    const part = parts[index];
    if (part === undefined || offset !== 0 || length !== part.size) continue;
    if (uses.get(index) === 1) pieces.push({ part, start: position });
  }
  return pieces;
}

type LockedPart = v.InferOutput<typeof LockPartsSchema>["parts"][number];

function storedPart([hex, size, storedHex, storedSize, suffix]: LockedPart): StoredPart {
  const digest = `sha256:${hex}` as const;
  if (storedHex === undefined || storedSize === undefined || suffix === undefined) {
    return asItIs([digest, size]);
  }
  return {
    digest,
    size,
    encoding: suffix.slice(1) as PartEncoding,
    stored: { digest: `sha256:${storedHex}`, size: storedSize },
  };
}

/**
 * The member of a lock's entry.
 */
export const lockPartsValue = ({ split, parts, segments }: LockParts): unknown => ({
  split: { by: split.by, least: split.least, most: split.most },
  parts: parts.map(({ digest, size, encoding, stored }) =>
    encoding === "none"
      ? [hexOf(digest), size]
      : [hexOf(digest), size, hexOf(stored.digest), stored.size, `+${encoding}`],
  ),
  segments,
});

const hexOf = (digest: string): string => digest.replace(/^sha256:/, "");
