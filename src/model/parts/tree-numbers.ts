import { PartPlaces } from "../../runtime/part-places.ts";
import type { TensorFile } from "../tensors/read-at.ts";
import { maxParts } from "./recipe.ts";
import {
  fixedParts,
  minOtherFileBytes,
  minTensorFileBytes,
  type PartPlan,
  pieceBytes,
  type TreeNumbers,
  treeParts,
} from "./tree.ts";

/** A file that may be split: its size, and what it has of tensors. */
export interface FileToSplit {
  size: number;
  tensors: TensorFile | undefined;
}

/** So many layers a manifest may have on every registry that is known (Amazon ECR takes 500). */
const defaultLayers = 480;

const mebibyte = 1024 * 1024;
const least = { lowest: 64 * 1024, highest: mebibyte };
const lowestMost = 512 * mebibyte;
/** A part holds this much on average at least, unless there are few parts. */
const averageBytes = 4 * mebibyte;
const fewParts = 16;
/** No file is larger; where doubling has come here it ends. */
const largestLeast = 2 ** 46;

/** Whether a file is split: small ones are not, and others than those of tensors only when they are large. */
export const isSplit = ({ size, tensors }: FileToSplit): boolean =>
  size >= (tensors === undefined ? minOtherFileBytes : minTensorFileBytes);

/** Whether a file of this size is split if it has tensors. */
export const mayBeSplit = (size: number): boolean => size >= minTensorFileBytes;

/**
 * Whether numbers that somebody else chose cut a file into no more pieces than a recipe may name; by others it
 * could be a piece for each byte.
 */
export const areUsable = ({ size, tensors }: FileToSplit, { most }: TreeNumbers): boolean =>
  size / (tensors === undefined ? pieceBytes(most) : most) <= maxParts;

/** What a file is cut into by these numbers. */
export const partsOfFile = (file: FileToSplit, numbers: TreeNumbers): PartPlaces[] =>
  plansOf(file, numbers).map((extents) => PartPlaces.together(extents));

const plansOf = ({ size, tensors }: FileToSplit, numbers: TreeNumbers): PartPlan[] =>
  tensors === undefined ? fixedParts(size, numbers) : treeParts(tensors, numbers);

/** How many layers there may be, 480 unless given, and how many there are beside the parts. */
interface Limits {
  others?: number;
  layers?: number | undefined;
}

/**
 * The numbers for files that are split together for the first time: the smallest parts that are not too many.
 * `others` counts the layers beside them.
 */
export function chooseNumbers(
  files: readonly FileToSplit[],
  { others = 0, layers = defaultLayers }: Limits = {},
): TreeNumbers {
  const split = files.filter(isSplit);
  const total = split.reduce((sum, { size }) => sum + size, 0);
  const allowed = Math.min(
    Math.max(fewParts, layers - others),
    Math.max(fewParts, Math.floor(total / averageBytes)),
  );
  let numbers = numbersOf(firstLeast(total));
  while (numbers.least < largestLeast && countParts(split, numbers) > allowed) {
    numbers = numbersOf(numbers.least * 2);
  }
  return numbers;
}

/** The numbers that are given, unless they make more layers than are wanted; else as `chooseNumbers` has it. */
export function numbersFor(
  files: readonly FileToSplit[],
  given: TreeNumbers | undefined,
  limits: Limits,
): TreeNumbers {
  const { others = 0, layers = Infinity } = limits;
  const split = files.filter(isSplit);
  const fits =
    given !== undefined &&
    split.every((file) => areUsable(file, given)) &&
    countParts(split, given) + others <= layers;
  return fits ? given : chooseNumbers(files, limits);
}

const numbersOf = (bytes: number): TreeNumbers => ({
  least: bytes,
  most: Math.max(lowestMost, 2 * bytes),
});

/** The power of two below a 4096th of all bytes, within limits. */
function firstLeast(total: number): number {
  let bytes = least.lowest;
  while (bytes < least.highest && bytes * 2 <= total / 4096) bytes *= 2;
  return bytes;
}

const countParts = (files: readonly FileToSplit[], numbers: TreeNumbers): number =>
  files.reduce((sum, file) => sum + plansOf(file, numbers).length, 0);
