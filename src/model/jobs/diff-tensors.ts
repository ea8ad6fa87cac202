import { parallel } from "../../flow/parallel.ts";
import type { ComparedTensor, TensorsDiff } from "../../report/diff.ts";
import type { Tensor } from "../tensors/read-at.ts";
import { filesAtOnce, type ReadableFile, readableFilesOf, tensorsIn } from "./inspect-tensors.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { RawManifest } from "../../oci/manifest.ts";

/** A tensor, and what is known of its bytes. */
export interface KnownTensor extends ComparedTensor {
  content: Content;
  /** The same as a piece of its file, by the digest that is said of that. */
  said: Piece;
}

/**
 * What a tensor is made of: pieces of contents that have a digest, one after another. Whether the last of `pieces`
 * ends where its content ends is in each of them.
 */
type Content = readonly Piece[];

/** Bytes `start` up to `end` of a content of `size` bytes. */
interface Piece {
  digest: string;
  size: number;
  start: number;
  end: number;
}

interface PieceOfFile extends Piece {
  /** Where it begins in the file, in bytes. */
  at: number;
}

/** The tensors of all files of a model. */
export interface TensorsOfModel {
  tensors: KnownTensor[];
  /** Files that were not looked into: of no format that is known, or packed. */
  unread: { name: string; dest: string; digest: string }[];
}

/** The tensors of a model's weights, from the headers of its files. Throws as `inspectTensors`. */
export async function tensorsOfModel(
  { reader, root }: { reader: ContentReader; root: RawManifest },
  signal: AbortSignal,
): Promise<TensorsOfModel> {
  const files = await readableFilesOf(reader, root, signal);
  const read = await parallel(files, filesAtOnce, signal, async (file) => {
    const { name, dest, digestOriginal: digest } = file.entry;
    const found = await tensorsIn(file);
    return found === undefined
      ? { unread: [{ name, dest, digest }], tensors: [] }
      : { unread: [], tensors: knownTensors(file, found.tensors) };
  });
  return {
    tensors: read.flatMap(({ tensors }) => tensors),
    unread: read.flatMap(({ unread }) => unread),
  };
}

/** Tensors are in the order of the file, and so are its pieces. */
function knownTensors(file: ReadableFile, tensors: readonly Tensor[]): KnownTensor[] {
  const pieces = piecesOf(file);
  let first = 0;
  return tensors.map(({ name, dtype, shape, start, end }) => {
    while (first < pieces.length && endOf(pieces[first]) <= start) first += 1;
    const content: Piece[] = [];
    for (let index = first; index < pieces.length; index += 1) {
      const piece = pieces[index];
      if (piece === undefined || piece.at >= end) break;
      const from = Math.max(start, piece.at) - piece.at;
      const to = Math.min(end, piece.at + lengthOf(piece)) - piece.at;
      const { digest, size, start: offset } = piece;
      content.push({ digest, size, start: offset + from, end: offset + to });
    }
    const { name: fileName } = file.entry;
    const described = { dtype: dtype ?? null, shape: shape === undefined ? null : [...shape] };
    const { digestOriginal: digest, sizeUncompressed: size } = file.entry;
    const said = { digest, size, start, end };
    return { file: fileName, name, ...described, bytes: end - start, content, said };
  });
}

const lengthOf = (piece: Piece): number => piece.end - piece.start;

/** Where a piece ends in its file. */
const endOf = (piece: PieceOfFile | undefined): number =>
  piece === undefined ? Infinity : piece.at + lengthOf(piece);

/** What a file is made of: its parts, or itself. That a recipe says of the whole file proves nothing. */
function piecesOf({ entry, made }: ReadableFile): PieceOfFile[] {
  const { digestOriginal: digest, sizeUncompressed: size } = entry;
  if (made === undefined) return [{ digest, size, start: 0, end: size, at: 0 }];
  return Array.from(made.file.segments, ({ part: index, offset: start, length, position: at }) => {
    const part = made.artifact.parts[index];
    if (part === undefined) throw new TypeError(`a recipe has no part ${index}`);
    return { digest: part.digest, size: part.size, start, end: start + length, at };
  });
}

/**
 * What became of tensors: those of the same name, in the same file where several files have one, are compared by
 * type, shape and, as far as digests tell, by their bytes.
 */
export function diffTensors(before: TensorsOfModel, after: TensorsOfModel): TensorsDiff {
  const result: TensorsDiff = {
    added: [],
    removed: [],
    changed: [],
    same: { tensors: 0, bytes: 0 },
    uncompared: [],
    unread: {
      a: unreadBeside(before, after),
      b: unreadBeside(after, before),
    },
  };
  const left = Map.groupBy(before.tensors, ({ name }) => name);
  const take = (name: string, file: string | undefined): KnownTensor | undefined => {
    const some = left.get(name) ?? [];
    const index = file === undefined ? 0 : some.findIndex((tensor) => tensor.file === file);
    return index < 0 ? undefined : some.splice(index, 1)[0];
  };
  const compare = (old: KnownTensor, tensor: KnownTensor): void => {
    const pair = { before: shown(old), after: shown(tensor) };
    if (!isSameKind(old, tensor)) result.changed.push({ ...pair, by: "type" });
    else if (isSameContent(old.content, tensor.content)) {
      result.same.tensors += 1;
      result.same.bytes += tensor.bytes;
    } else if (isOtherContent(old.content, tensor.content)) {
      result.changed.push({ ...pair, by: "bytes" });
    } else if (isSameContent([old.said], [tensor.said])) {
      // One of the files is not in parts, or in others: they are the same file as far as files are compared.
      result.same.tensors += 1;
      result.same.bytes += tensor.bytes;
    } else result.uncompared.push(pair.after);
  };
  const unmatched: KnownTensor[] = [];
  for (const tensor of after.tensors) {
    const old = take(tensor.name, tensor.file);
    if (old === undefined) unmatched.push(tensor);
    else compare(old, tensor);
  }
  for (const tensor of unmatched) {
    const old = take(tensor.name, undefined);
    if (old === undefined) result.added.push(shown(tensor));
    else compare(old, tensor);
  }
  for (const rest of left.values()) result.removed.push(...rest.map(shown));
  return result;
}

const unreadBeside = (one: TensorsOfModel, other: TensorsOfModel) => {
  const there = new Set(other.unread.map(({ digest }) => digest));
  return one.unread
    .filter(({ digest }) => !there.has(digest))
    .map(({ name, dest }) => ({ name, dest }));
};

const shown = ({ file, name, dtype, shape, bytes }: KnownTensor): ComparedTensor => {
  return { file, name, dtype, shape, bytes };
};

/** Padding behind a tensor is no part of its type. */
const isSameKind = (a: KnownTensor, b: KnownTensor): boolean =>
  a.dtype === b.dtype && JSON.stringify(a.shape) === JSON.stringify(b.shape);

/** Whether two tensors are the same bytes of the same contents. */
const isSameContent = (a: Content, b: Content): boolean =>
  a.length === b.length &&
  a.every((piece, index) => {
    const other = b[index];
    return other?.digest === piece.digest && other.start === piece.start && other.end === piece.end;
  });

/** Whether two tensors differ for certain: at one place one has all of a content, and the other all of another. */
function isOtherContent(a: Content, b: Content): boolean {
  let at = 0;
  const wholes = new Map<string, string>();
  for (const piece of a) {
    if (isWhole(piece)) wholes.set(`${at} ${piece.size}`, piece.digest);
    at += lengthOf(piece);
  }
  at = 0;
  return b.some((piece) => {
    const other = isWhole(piece) ? wholes.get(`${at} ${piece.size}`) : undefined;
    at += lengthOf(piece);
    return other !== undefined && other !== piece.digest;
  });
}

const isWhole = ({ start, end, size }: Piece): boolean => start === 0 && end === size;
