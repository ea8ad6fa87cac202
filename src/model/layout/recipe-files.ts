import type { BlobSource, ContentReader } from "../../oci/content.ts";
import type { WeightsContents } from "../graph/manifest-contents.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import { readSmallBlob } from "../../store/small-blob.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { usedParts, wholePart } from "../parts/file-plan.ts";
import type { LockParts } from "../parts/lock-parts.ts";
import {
  asItIs,
  blobOfPart,
  hasRecipe,
  type PartsArtifact,
  type StoredPart,
} from "../parts/parts-artifact.ts";
import { parseRecipe, type Recipe, type RecipeFile } from "../parts/recipe.ts";
import { decodedSource } from "./decoded-source.ts";
import type { OriginalFile } from "./original-file.ts";
import { joined, type OpenSource, type Stretch } from "./joined-source.ts";

/** The files of weights in parts: each is read from its parts, one after another. */
export const filesOfParts = (
  reader: ContentReader,
  { recipe, parts }: PartsArtifact,
): OriginalFile[] =>
  recipe.files.map((file): OriginalFile => {
    const { name, dest, digest, size } = file;
    const common = { name, dest, digest, size, mismatchHint: mismatchHint(reader) };
    const whole = wholePart(file, { parts });
    // A file that is not split is one part, stored as a plain artifact stores it.
    if (whole?.digest === digest) return { ...common, ...ofWhole(reader, whole) };
    return {
      ...common,
      parts: partsOf(file, recipe.split, parts),
      storedPart: (part) => ({ source: (signal) => reader.blobSource(blobOfPart(part), signal) }),
      source: () => Promise.resolve(joined(stretchesOf(reader, file, parts))),
    };
  });

const mismatchHint = ({ name }: ContentReader): string =>
  `push or copy ${name} again: its content does not match its manifest`;

function ofWhole(reader: ContentReader, part: StoredPart): Pick<OriginalFile, "source" | "stored"> {
  const source = (signal: AbortSignal) => partSource(reader, part, signal);
  const { encoding, stored } = part;
  if (encoding !== "gzip" && encoding !== "zstd") return { source };
  const digest = stored.digest as `sha256:${string}`;
  const blob = (signal: AbortSignal) => reader.blobSource(blobOfPart(part), signal);
  return { source, stored: { encoding, digest, size: stored.size, source: blob } };
}

/** The pieces of a file in its parts. Each is made when it is asked for: there can be hundreds of thousands. */
function stretchesOf(
  reader: ContentReader,
  { segments }: RecipeFile,
  parts: readonly StoredPart[],
): Iterable<Stretch> {
  const sources = parts.map(
    (part): OpenSource =>
      (signal) =>
        partSource(reader, part, signal),
  );
  return {
    *[Symbol.iterator]() {
      for (const { part, offset, length } of segments) {
        const [source, stored] = [sources[part], parts[part]];
        if (source === undefined || stored === undefined) {
          throw new TypeError("a recipe's segment names no part");
        }
        yield { start: offset, end: offset + length, source, size: stored.size };
      }
    },
  };
}

/** The original bytes of a part. */
async function partSource(
  reader: ContentReader,
  part: StoredPart,
  signal: AbortSignal,
): Promise<BlobSource> {
  const blob = blobOfPart(part);
  return decodedSource(await reader.blobSource(blob, signal), blob, part);
}

/** A file's own parts, with its segments by their numbers. */
function partsOf(
  file: RecipeFile,
  split: Recipe["split"],
  parts: readonly StoredPart[],
): LockParts {
  const { used, segments } = usedParts(file, { parts });
  return { split, segments, parts: used };
}

/**
 * How the files of plain weights are split, where their config is a recipe that says so of the same files; by
 * their names. Throws `file` for a faulty recipe.
 */
export async function partsOfPlain(
  reader: ContentReader,
  { raw, entries }: Pick<WeightsContents, "raw" | "entries">,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, LockParts>> {
  const { config } = membersOf(raw, reader.name);
  if (config === undefined || !hasRecipe({ config })) return new Map();
  const recipe = parseRecipe(await readSmallBlob(reader, config, signal), reader.name);
  const files = new Map(recipe.files.map((file) => [file.name, file]));
  const parts = recipe.parts.map(asItIs);
  return new Map(
    entries.flatMap((entry) => {
      const file = files.get(entry.name);
      return file === undefined || !isSplitSame(file, entry)
        ? []
        : [[entry.name, partsOf(file, recipe.split, parts)] as const];
    }),
  );
}

const isSplitSame = (
  { digest, size, segments }: RecipeFile,
  { digestOriginal, sizeUncompressed }: WeightEntry,
): boolean => digest === digestOriginal && size === sizeUncompressed && segments.length > 1;
