import type { Extent, Tensor, TensorFile } from "../tensors/read-at.ts";

// How a file is cut into parts (docs/format.md, "tree/1"). Everything here is a function of the header and of
// two numbers: the same file gives the same parts wherever it is cut, and no byte of a tensor is looked at.

/** The name of the rule in recipes. */
export const treeRule = "tree/1";

/** The rule's numbers, in bytes. */
export interface TreeNumbers {
  /** A tensor of this size is a part of its own; smaller ones share parts. */
  least: number;
  /** A larger tensor is cut at multiples of it. */
  most: number;
}

/** The numbers of files that were split by this rule, or undefined where they were split by another. */
export const treeNumbersOf = ({
  by,
  least,
  most,
}: {
  by: string;
  least?: number | undefined;
  most?: number | undefined;
}): TreeNumbers | undefined =>
  by === treeRule && least !== undefined && most !== undefined && least > 0 && most >= least
    ? { least, most }
    : undefined;

/** A part before its bytes are known: what it takes from the file, in order. */
export type PartPlan = Extent[];

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

/** Tensors below this go to the pool, whatever `least` is: norms and biases must not ride on large tensors. */
const mostOfPool = mebibyte;
/** The pool is cut here. */
const poolBytes = 64 * mebibyte;

/** Files of a known format are split from this size on, others where pieces of fixed size are worth it. */
export const minTensorFileBytes = 64 * mebibyte;
/** A file without tensors is split from this size on, in bytes. */
export const minOtherFileBytes = 256 * mebibyte;

/** The parts of a file with tensors: its header, its tensors, its small tensors together. */
export function treeParts(
  { header, tensors }: TensorFile,
  { least, most }: TreeNumbers,
): PartPlan[] {
  const pooled = Math.min(least, mostOfPool);
  const parts: PartPlan[] = [header];
  const root = newNode();
  let pool: Extent[] = [];
  let inPool = 0;
  const pools: PartPlan[] = [];
  for (const tensor of tensors) {
    const { start, end } = tensor;
    const bytes = end - start;
    if (bytes < pooled) {
      if (inPool + bytes > poolBytes) {
        pools.push(pool);
        [pool, inPool] = [[], 0];
      }
      pool.push({ start, end });
      inPool += bytes;
    } else if (bytes >= least) parts.push(...cut({ start, end }, most));
    else nodeOf(root, tensor).own.push(tensor);
  }
  if (pool.length > 0) pools.push(pool);
  const rest = collect(root, least, parts);
  if (rest.length > 0) parts.push(rest);
  return [...parts, ...pools];
}

/** The parts of a file of any other format: pieces of fixed size. */
export const fixedParts = (size: number, { most }: TreeNumbers): PartPlan[] =>
  cut({ start: 0, end: size }, pieceBytes(most));

/** The size of the pieces of a file without tensors, in bytes; `most` is that of the largest part. */
export const pieceBytes = (most: number): number => Math.max(1, Math.floor(most / 8));

/** Pieces that begin at multiples of `most` from the start, so that what is appended leaves the first ones alone. */
function cut({ start, end }: Extent, most: number): PartPlan[] {
  const pieces: PartPlan[] = [];
  for (let from = start; from < end; from += most) {
    pieces.push([{ start: from, end: Math.min(end, from + most) }]);
  }
  return pieces;
}

/** A module of the model: a prefix of names up to a dot. */
interface Node {
  children: Map<string, Node>;
  own: Tensor[];
}

const newNode = (): Node => ({ children: new Map(), own: [] });

/** Names are followed this far: a name of dots must not make a tree of its own. */
const maxDepth = 32;

/** The node that a tensor lies in. */
function nodeOf(root: Node, { name }: Tensor): Node {
  let node = root;
  for (const segment of name.split(".").slice(0, -1).slice(0, maxDepth)) {
    const child = node.children.get(segment) ?? newNode();
    node.children.set(segment, child);
    node = child;
  }
  return node;
}

/**
 * Collects what lies below a node into parts of at least `least` bytes: first within each child, then, of what
 * they leave, in the order of the file. Answers what is left for the node above.
 */
function collect({ children, own }: Node, least: number, parts: PartPlan[]): Extent[] {
  const rests = [...children.values()].flatMap((child) => collect(child, least, parts));
  const left = [...rests, ...own.map(({ start, end }) => ({ start, end }))];
  left.sort((a, b) => a.start - b.start);
  let collected: Extent[] = [];
  let bytes = 0;
  for (const extent of left) {
    collected.push(extent);
    bytes += extent.end - extent.start;
    if (bytes < least) continue;
    parts.push(collected);
    [collected, bytes] = [[], 0];
  }
  return collected;
}
