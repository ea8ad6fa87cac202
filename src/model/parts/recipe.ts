import * as v from "valibot";
import { amended, OcibundleError } from "../../errors.ts";
import { runtime } from "../../runtime/current.ts";
import { SizeSchema } from "../../oci/descriptor.ts";
import { checkDocument, maxManifestBytes, parseDocument } from "../../oci/document.ts";
import { goJson } from "../format/go-json.ts";
import { isSegment, isSize, maxSegments, Segments } from "../format/segment-list.ts";
import { cutSegments, withSegmentTexts } from "../format/segment-text.ts";
import {
  checkEntriesApart,
  quoted,
  Sha256Schema,
  weightEntryMembers,
} from "../format/weight-entry.ts";

/** The media type of a recipe, which is the config of its artifact (docs/format.md). */
export const recipeType = "application/vnd.ocibundle.weights.recipe.v1+json";

/** Larger recipes are neither read nor written. In bytes. */
const maxRecipeBytes = maxManifestBytes;
/** A recipe with more parts is refused. */
export const maxParts = 100_000;

/** Files may be this much larger together than the parts that they are put together from. */
const maxExpansion = 1000;

/** `sha256:` and hex digits, and a size in bytes. */
export type Part = readonly [digest: `sha256:${string}`, size: number];

/** How files were split. Whoever puts them together again need not know `by`. */
export interface Split {
  /** The rule, such as `tree/1`. */
  by: string;
  /** The rule's numbers of bytes. */
  least?: number | undefined;
  most?: number | undefined;
}

/** A file: its segments, one after another. */
export interface RecipeFile {
  name: string;
  dest: string;
  /** Of the whole file: a claim, which the digests of the parts do not prove. */
  digest: `sha256:${string}`;
  size: number;
  segments: Segments;
}

/**
 * How files are put together from parts. Digests and sizes are those of the original bytes, however they
 * are stored.
 */
export interface Recipe {
  split: Split;
  parts: readonly Part[];
  files: readonly RecipeFile[];
}

/** How files were split: the name of the rule and its limits in bytes. */
export const SplitSchema = v.looseObject(
  {
    by: v.string("must be a string"),
    least: v.optional(SizeSchema),
    most: v.optional(SizeSchema),
  },
  "must be an object",
);

/**
 * A list whose items are looked at where they are: a schema for each would make a copy of the list, and some objects
 * for each of hundreds of thousands of items.
 */
const listOf = <T>(isItem: (item: unknown) => item is T, fault: string) =>
  v.pipe(
    v.custom<readonly T[]>(Array.isArray, "must be a list"),
    v.rawCheck(({ dataset, addIssue }) => {
      if (!dataset.typed) return;
      const input = dataset.value;
      const key = input.findIndex((item) => !isItem(item));
      if (key < 0) return;
      const path = { type: "array", origin: "value", input: [...input], key, value: input[key] };
      addIssue({ message: fault, path: [path as v.ArrayPathItem] });
    }),
  );

/** The pieces that a file is put together from, in order: a part, an offset in it, and a length in bytes. */
export const SegmentsSchema = v.lazy((input) =>
  input instanceof Segments ? v.custom<Segments>(() => true) : SegmentListSchema,
);

const SegmentListSchema = v.pipe(
  listOf(isSegment, "must be a part, an offset and a length"),
  v.transform((list) => Segments.of(list)),
);

const RecipeSchema = v.looseObject({
  split: SplitSchema,
  parts: listOf(
    (input): input is Part =>
      Array.isArray(input) &&
      input.length === 2 &&
      v.is(Sha256Schema, input[0]) &&
      isSize(input[1]),
    "must be a digest and a size",
  ),
  files: v.array(
    v.looseObject({
      name: weightEntryMembers.name,
      dest: weightEntryMembers.dest,
      digest: Sha256Schema,
      size: SizeSchema,
      segments: SegmentsSchema,
    }),
    "must be a list",
  ),
});

const VersionSchema = v.looseObject({ version: v.optional(v.unknown()) }, "must be an object");

/** Reads a recipe; `on` names it in messages. Throws `file`, naming the file and the rule that it breaks. */
export function parseRecipe(bytes: Uint8Array, on: string): Recipe {
  if (bytes.byteLength > maxRecipeBytes) {
    throw new OcibundleError("file", `${on}: the recipe has more than ${maxRecipeBytes} bytes`, {
      hint: "push it again with fewer or larger files",
    });
  }
  const recipe = withWayOut(() => recipeIn(bytes, on));
  // What parsing left is several times what it made, and there is more to come.
  if (bytes.byteLength >= longRecipe) runtime.collectGarbage();
  checkRecipe(recipe, on);
  return recipe;
}

/** Faults of a document do not say who can mend it. */
function withWayOut<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof OcibundleError) || error.hint !== undefined) throw error;
    throw amended(error, { hint: "push it again" });
  }
}

/** A recipe as its document has it, which nothing refers to afterwards. */
function recipeIn(bytes: Uint8Array, on: string): Recipe {
  const cut = cutSegments(bytes);
  const document = cut.restore(parseDocument(cut.bytes, VersionSchema, `${on}: recipe`));
  const { version } = document;
  if (version === undefined) {
    throw new OcibundleError("file", `${on}: recipe: version: is missing`, {
      hint: "push it again",
    });
  }
  if (version !== "1") {
    const found = typeof version === "string" ? quoted(version.slice(0, 40)) : typeof version;
    throw new OcibundleError("file", `${on}: recipe version ${found} is not supported`, {
      hint: "update ocibundle",
    });
  }
  const { split, parts, files } = checkDocument(document, RecipeSchema, `${on}: recipe`);
  return {
    split,
    parts,
    files: files.map(({ name, dest, digest, size, segments }) => {
      return { name, dest, digest, size, segments };
    }),
  };
}

/** From this size on, memory is cleared after a recipe was parsed, in bytes: that takes some milliseconds. */
const longRecipe = 512 * 1024;

/**
 * The bytes of a recipe: a pure function of it. Throws `file` for one that no reader would take.
 */
export function serializeRecipe(recipe: Recipe, on: string): Uint8Array<ArrayBuffer> {
  checkRecipe(recipe, on);
  const { split, parts, files } = recipe;
  const bytes = withSegmentTexts((standIn) =>
    goJson({
      version: "1",
      split: { by: split.by, least: split.least, most: split.most },
      parts,
      files: files.map(({ name, dest, digest, size, segments }) => {
        return { name, dest, digest, size, segments: standIn(segments) };
      }),
    }),
  );
  if (bytes.byteLength <= maxRecipeBytes) return bytes;
  throw new OcibundleError(
    "file",
    `${on}: the recipe has ${bytes.byteLength} bytes, more than the limit of ${maxRecipeBytes}`,
  );
}

/** Everything about a recipe that its own bytes decide. Throws `file`. */
function checkRecipe({ parts, files }: Recipe, on: string): void {
  const refuse = (fault: string) =>
    new OcibundleError("file", `${on}: recipe: ${fault}`, { hint: "push it again" });
  if (parts.length > maxParts) {
    throw refuse(`${parts.length} parts, more than the limit of ${maxParts}`);
  }
  const digests = new Set(parts.map(([digest]) => digest));
  if (digests.size < parts.length) throw refuse("a part is listed twice");
  const segments = files.reduce((total, file) => total + file.segments.length, 0);
  if (segments > maxSegments) {
    throw refuse(`${segments} segments, more than the limit of ${maxSegments}`);
  }
  checkEntriesApart(files, `${on}: recipe`);
  const sizes = new Map<string, number>();
  for (const { name, digest, size, segments: own } of files) {
    const fault = faultOfSegments(own, parts, size);
    if (fault !== undefined) throw refuse(`file ${quoted(name)}: ${fault}`);
    if ((sizes.get(digest) ?? size) !== size) {
      throw refuse(`file ${quoted(name)}: digest ${digest} has two sizes`);
    }
    sizes.set(digest, size);
  }
  const stored = parts.reduce((total, [, size]) => total + size, 0);
  const whole = files.reduce((total, { size }) => total + size, 0);
  if (!Number.isSafeInteger(whole) || !Number.isSafeInteger(stored)) {
    throw refuse("the total size is too large");
  }
  if (whole > stored * maxExpansion) {
    throw refuse(`files of ${whole} bytes consist of parts of only ${stored} bytes`);
  }
}

/**
 * What is wrong with the segments of a file of `size` bytes, as the end of a sentence, or undefined. Since
 * they follow one another they neither overlap nor leave gaps if their lengths add up.
 */
export function faultOfSegments(
  segments: Segments,
  parts: readonly (readonly [unknown, number, ...unknown[]])[],
  size: number,
): string | undefined {
  for (let index = 0; index < segments.length; index += 1) {
    const { part, offset, length } = segments.at(index);
    const whole = parts[part]?.[1];
    if (whole === undefined)
      return `segment ${index + 1} refers to part ${part} of ${parts.length}`;
    if (length === 0) return `segment ${index + 1} is empty`;
    // Two safe integers add up exactly enough to be compared.
    if (offset + length > whole) {
      return `segment ${index + 1} exceeds the ${whole} bytes of its part`;
    }
  }
  return segments.bytes === size
    ? undefined
    : `its segments have ${segments.bytes} bytes, the file has ${size}`;
}
