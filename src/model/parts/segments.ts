import type { PartPlaces } from "../../runtime/part-places.ts";
import { Segments } from "../format/segment-list.ts";
import { inFileOrder } from "./in-file-order.ts";
import type { Part, Recipe, RecipeFile } from "./recipe.ts";

/** A file's parts, each once, and the file as segments of them. */
export interface SplitFile {
  parts: Part[];
  segments: Segments;
}

/**
 * The segments of a file from its parts and their digests, one for each part of the plan. Parts are in the
 * order in which the file uses them; two with the same bytes are one.
 */
export function segmentsOf(plan: readonly PartPlaces[], digests: readonly Part[0][]): SplitFile {
  const found = plan.map(({ bytes }, part): Part => {
    const digest = digests[part];
    if (digest === undefined) throw new Error(`part ${part} has no digest`);
    return [digest, bytes];
  });
  const parts: Part[] = [];
  const indexes = new Map<string, number>();
  /** Of each segment the index of its part, the offset in it and the length. */
  const numbers: number[] = [];
  for (const { part, offset, length } of inFileOrder(plan)) {
    const own = found[part];
    if (own === undefined) throw new TypeError(`a plan has no part ${part}`);
    const [digest] = own;
    const index = indexes.get(digest) ?? parts.push(own) - 1;
    indexes.set(digest, index);
    append(numbers, index, offset, length);
  }
  let at = 0;
  return { parts, segments: Segments.read(numbers.length / 3, () => numbers[at++] ?? 0) };
}

/** Neighbours in a file that are neighbours in their part too are one segment. */
function append(numbers: number[], part: number, offset: number, length: number): void {
  const last = numbers.length - 3;
  const [before = 0, bytes = 0] = [numbers[last + 1], numbers[last + 2]];
  if (last >= 0 && numbers[last] === part && before + bytes === offset) {
    numbers[last + 2] = bytes + length;
  } else numbers.push(part, offset, length);
}

/** A file of a recipe, with segments of its own parts. */
export type OwnSegments = RecipeFile & { parts: readonly Part[] };

/**
 * The recipe of files: their parts in the order of first use, those that several files have once.
 */
export function recipeOf(split: Recipe["split"], files: readonly OwnSegments[]): Recipe {
  const parts: Part[] = [];
  const indexes = new Map<string, number>();
  return {
    split,
    files: files.map(({ parts: own, segments, ...file }) => {
      const shared = own.map((part) => {
        const index = indexes.get(part[0]) ?? parts.push([part[0], part[1]]) - 1;
        indexes.set(part[0], index);
        return index;
      });
      return { ...file, segments: segments.renumbered((part) => shared[part] ?? -1) };
    }),
    parts,
  };
}
