import { type Segment, Segments } from "../format/segment-list.ts";
import type { Part, Recipe, RecipeFile } from "./recipe.ts";
import type { PartPlan } from "./tree.ts";

/** A file's parts, each once, and the file as segments of them. */
export interface SplitFile {
  parts: Part[];
  segments: Segments;
}

/**
 * The segments of a file from its parts and their digests, one for each part of the plan. Parts are in the
 * order in which the file uses them; two with the same bytes are one.
 */
export function segmentsOf(plan: readonly PartPlan[], digests: readonly Part[0][]): SplitFile {
  const pieces = plan.flatMap((extents, at) => {
    const digest = digests[at];
    if (digest === undefined) throw new Error(`part ${at} has no digest`);
    const size = sizeOf(extents);
    let offset = 0;
    return extents.map(({ start, end }) => {
      const piece = { start, digest, size, offset, length: end - start };
      offset += piece.length;
      return piece;
    });
  });
  pieces.sort((a, b) => a.start - b.start);
  const parts: Part[] = [];
  const indexes = new Map<string, number>();
  const segments: Segment[] = [];
  for (const { digest, size, offset, length } of pieces) {
    const index = indexes.get(digest) ?? parts.push([digest, size]) - 1;
    indexes.set(digest, index);
    append(segments, [index, offset, length]);
  }
  return { parts, segments: Segments.of(segments) };
}

/** Neighbours in a file that are neighbours in their part too are one segment. */
function append(segments: Segment[], [part, offset, length]: Segment): void {
  const last = segments.at(-1);
  if (last !== undefined && last[0] === part && last[1] + last[2] === offset) {
    segments[segments.length - 1] = [part, last[1], last[2] + length];
  } else segments.push([part, offset, length]);
}

/** The bytes that a part takes from its file. */
export const sizeOf = (extents: PartPlan): number =>
  extents.reduce((sum, { start, end }) => sum + end - start, 0);

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
