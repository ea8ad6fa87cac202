import { OcibundleError } from "../../errors.ts";
import { once } from "../../flow/once.ts";
import type { BlobSource, BlobToMove } from "../../oci/content.ts";
import { digestOf, shortDigest } from "../../oci/digest.ts";
import { quoted, sortedByName } from "../format/weight-entry.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { asItIs, partLayer, type StoredPart, partsManifest } from "../parts/parts-artifact.ts";
import { Segments } from "../format/segment-list.ts";
import { type Recipe, recipeType, serializeRecipe, type Split } from "../parts/recipe.ts";
import { recipeOf } from "../parts/segments.ts";
import type { OriginalFile, PartBlob } from "./original-file.ts";
import { joined } from "./joined-source.ts";
import { gathered, shifted } from "./shifted-source.ts";
import { made } from "../../flow/made.ts";
import { PartPlaces, rangeInFile } from "../../runtime/part-places.ts";

const on = "weights in parts";

/** What a recipe says of a file. Without parts it is one part, stored as a plain artifact stores it. */
type RecipeSource = Pick<OriginalFile, "name" | "dest" | "digest" | "size" | "parts" | "stored">;

/** The split of a recipe in which no file is split. */
const noSplit: Split = { by: "none" };

/**
 * The recipe of files and its bytes: a pure function of the files and of how they are split. Throws `file` for
 * more parts or segments than a recipe may have.
 */
function recipeOfFiles(files: readonly RecipeSource[]): {
  recipe: Recipe;
  bytes: Uint8Array;
} {
  const sorted = sortedByName(files);
  const split = sorted.find(({ parts }) => parts !== undefined)?.parts?.split ?? noSplit;
  const recipe = recipeOf(
    { by: split.by, least: split.least, most: split.most },
    sorted.map((file) => {
      const { name, dest, digest, size } = file;
      const { parts, segments } = piecesOf(file);
      return {
        name,
        dest,
        digest,
        size,
        segments,
        parts: parts.map((part) => [part.digest, part.size]),
      };
    }),
  );
  return { recipe, bytes: serializeRecipe(recipe, on) };
}

/** The parts of a file, and its segments by their numbers. An empty file has none. */
function piecesOf({ parts, stored, digest, size }: RecipeSource): {
  parts: readonly StoredPart[];
  segments: Segments;
} {
  if (size === 0) return { parts: [], segments: Segments.of([]) };
  if (parts !== undefined) return parts;
  const whole: StoredPart =
    stored === undefined
      ? asItIs([digest, size])
      : {
          digest,
          size,
          encoding: stored.encoding,
          stored: { digest: stored.digest, size: stored.size },
        };
  return { parts: [whole], segments: Segments.of([[0, 0, size]]) };
}

/**
 * Weights in parts: the recipe as config, and every part as a layer, once, in the order in which the recipe
 * uses them. A pure function of the files, of how they are split and of how their parts are stored. Throws `file`
 * for a part that is stored in another form, and is not at hand in it.
 */
export function partsLayout(files: readonly OriginalFile[]): {
  manifest: RawManifest;
  blobs: BlobToMove[];
} {
  const { recipe, bytes } = recipeOfFiles(files);
  const layers = new Map<string, BlobToMove>();
  for (const file of sortedByName(files)) {
    const { parts, segments } = piecesOf(file);
    const places = placesOf(parts, segments);
    // All parts are of one file: it is looked for once.
    const whole = once((signal: AbortSignal) => file.source(signal));
    for (const [index, part] of parts.entries()) {
      if (layers.has(part.digest)) continue;
      layers.set(
        part.digest,
        blobOf(
          { ...file, source: whole },
          { part, index, count: parts.length },
          places[index] ?? PartPlaces.of([]),
        ),
      );
    }
  }
  refuseSameBlobs(layers);
  const ordered = recipe.parts.flatMap(([digest]) => layers.get(digest) ?? []);
  const manifest = partsManifest(
    bytes,
    ordered.map(({ descriptor }) => descriptor),
  );
  return { manifest, blobs: [recipeBlob(bytes), ...ordered] };
}

/** Two parts can't be stored in one blob: then one of them is not what is said. Throws `integrity`. */
function refuseSameBlobs(layers: ReadonlyMap<string, BlobToMove>): void {
  const blobs = new Map<string, BlobToMove>();
  for (const blob of layers.values()) {
    const { digest } = blob.descriptor;
    const other = blobs.get(digest);
    if (other !== undefined) {
      throw new OcibundleError(
        "integrity",
        `${other.label} and ${blob.label} have different content, but the same blob ${shortDigest(digest)}`,
        { hint: "run `ocibundle lock` again, then push again" },
      );
    }
    blobs.set(digest, blob);
  }
}

/** The recipe of files as a config, where one of them is split. Throws `file`. */
export const recipeConfig = (files: readonly RecipeSource[]): BlobToMove | undefined =>
  files.some(({ parts }) => parts !== undefined)
    ? recipeBlob(recipeOfFiles(files).bytes)
    : undefined;

/** A recipe as the config of its artifact. */
const recipeBlob = (bytes: Uint8Array): BlobToMove => ({
  descriptor: { mediaType: recipeType, digest: digestOf(bytes), size: bytes.byteLength },
  kind: "config",
  label: "recipe of the weights",
  group: "weights",
  source: () => Promise.resolve({ kind: "bytes", bytes }),
});

/** Where the bytes of each part lie in the file, in the order of the part. */
function placesOf(parts: readonly StoredPart[], segments: Segments): PartPlaces[] {
  return segments.byPart(parts.length).map((pieces, part) => {
    // What a file has twice is taken from the first place.
    const numbers = new Float64Array(3 * pieces.length);
    let filled = 0;
    let front = 0;
    for (const index of pieces) {
      const { offset, length, position } = segments.at(index);
      const skipped = front - offset;
      if (skipped < 0) break;
      if (skipped >= length) continue;
      numbers[filled] = front;
      front = offset + length;
      numbers[filled + 1] = front;
      numbers[filled + 2] = position + skipped;
      filled += 3;
    }
    return new PartPlaces(numbers.subarray(0, front === parts[part]?.size ? filled : 0));
  });
}

function blobOf(
  file: OriginalFile,
  { part, index, count }: { part: StoredPart; index: number; count: number },
  places: PartPlaces,
): BlobToMove {
  const { name, check, mismatchHint, reportCorrupt, stored } = file;
  const whole = file.parts === undefined;
  const blob: PartBlob | undefined =
    part.encoding === "none"
      ? { source: (signal) => sourceOf(file, places, signal), check }
      : whole
        ? stored
        : file.storedPart?.(part, places.length === 1 ? places.at(0).position : undefined);
  if (blob === undefined) throw notMade(name, part);
  const label = whole
    ? `weight ${quoted(name)}`
    : `part ${index + 1} of ${count} of weight ${quoted(name)}`;
  return {
    descriptor: partLayer(part, { whole }),
    kind: "weight",
    label,
    name: whole ? name : `${name} ${index + 1}/${count}`,
    group: "weights",
    source: blob.source,
    ...(blob.check === undefined ? {} : { check: blob.check }),
    ...(blob.confirm === undefined ? {} : { confirm: blob.confirm }),
    ...(mismatchHint === undefined ? {} : { mismatchHint }),
    ...(reportCorrupt === undefined ? {} : { reportCorrupt }),
  };
}

const notMade = (name: string, { digest, encoding }: StoredPart): OcibundleError =>
  new OcibundleError(
    "file",
    `weight ${quoted(name)}: part ${shortDigest(digest)} is stored as ${encoding} in the lock, but consists of several pieces of its file`,
    { hint: "run `ocibundle lock --parts --compression none` on its files" },
  );

/** The bytes of a part: a range of the file, or several one after another. */
async function sourceOf(
  file: OriginalFile,
  places: PartPlaces,
  signal: AbortSignal,
): Promise<BlobSource> {
  const source = await file.source(signal);
  if (places.length === 1) return shifted(source, places.at(0).position);
  const pieces = made(places, rangeInFile);
  if (source.kind === "file") return gathered(source, pieces);
  const shared = { source: () => Promise.resolve(source), size: file.size };
  return joined(made(pieces, (piece) => ({ ...piece, ...shared })));
}
