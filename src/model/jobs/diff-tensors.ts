import { parallel } from "../../flow/parallel.ts";
import type { ComparedTensor, TensorsDiff } from "../../report/diff.ts";
import { allTensors, type Tensor } from "../tensors/read-at.ts";
import {
  filesAtOnce,
  manyTensors,
  type ReadableFile,
  readableFilesOf,
  tensorsIn,
} from "./inspect-tensors.ts";
import { runtime } from "../../runtime/current.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { RawManifest } from "../../oci/manifest.ts";

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

/** A file of tensors. */
interface FileOfTensors {
  name: string;
  /** What is said of the whole file, in bytes. */
  digest: string;
  size: number;
  /** How it is put together, where it is stored in parts. */
  made: ReadableFile["made"];
}

/** The tensors of all files of a model: hundreds of thousands, of which nothing is made before it is compared. */
export interface TensorsOfModel {
  tensors: readonly Tensor[];
  /** The file of each of them. */
  files: readonly FileOfTensors[];
  /** Files that were not looked into: of no format that is known, or packed. */
  unread: readonly { name: string; dest: string; digest: string }[];
}

/** What a model without weights has. */
export const noTensors: TensorsOfModel = { tensors: [], files: [], unread: [] };

/** The tensors of a model's weights, from the headers of its files. Throws as `inspectTensors`. */
export async function tensorsOfModel(
  { reader, root }: { reader: ContentReader; root: RawManifest },
  signal: AbortSignal,
): Promise<TensorsOfModel> {
  const readable = await readableFilesOf(reader, root, signal);
  const read = await parallel(readable, filesAtOnce, signal, tensorsIn);
  const tensors: Tensor[] = [];
  const files: FileOfTensors[] = [];
  const unread: { name: string; dest: string; digest: string }[] = [];
  for (const [index, { entry, made }] of readable.entries()) {
    const { name, dest, digestOriginal: digest, sizeUncompressed: size } = entry;
    const found = read[index];
    if (found === undefined) unread.push({ name, dest, digest });
    const file = { name, digest, size, made };
    for (const tensor of found === undefined ? [] : allTensors(found)) {
      tensors.push(tensor);
      files.push(file);
    }
  }
  if (tensors.length >= manyTensors) runtime.collectGarbage();
  return { tensors, files, unread };
}

/** One of the tensors of a model. */
interface TensorInFile {
  tensor: Tensor;
  file: FileOfTensors;
}

/** A tensor by what is said of its whole file: that a recipe says it proves nothing. */
const saidOf = ({ tensor: { start, end }, file: { digest, size } }: TensorInFile): Piece => {
  return { digest, size, start, end };
};

/** What a tensor is made of: pieces of its file's parts, or of the file. */
function contentOf(one: TensorInFile): Content {
  const { made } = one.file;
  if (made === undefined) return [saidOf(one)];
  return made.file.segments.within(one.tensor).map(({ segment, start, end }) => {
    const part = made.artifact.parts[segment.part];
    if (part === undefined) throw new TypeError(`a recipe has no part ${segment.part}`);
    const { digest, size } = part;
    return { digest, size, start: segment.offset + start, end: segment.offset + end };
  });
}

const lengthOf = (piece: Piece): number => piece.end - piece.start;

/** Gives each tensor of a model once: the next one of a name, in a file where that is given. */
function takerOf({ tensors, files }: TensorsOfModel) {
  const first = new Map<string, number>();
  /** Of each tensor the next one of its name. */
  const next = new Int32Array(tensors.length).fill(-1);
  for (let index = tensors.length - 1; index >= 0; index -= 1) {
    const name = tensors[index]?.name ?? "";
    next[index] = first.get(name) ?? -1;
    first.set(name, index);
  }
  const isTaken = new Uint8Array(tensors.length);
  const at = (index: number): TensorInFile | undefined => {
    const [tensor, file] = [tensors[index], files[index]];
    return tensor === undefined || file === undefined ? undefined : { tensor, file };
  };
  return {
    take(name: string, file?: string): TensorInFile | undefined {
      for (let index = first.get(name) ?? -1; index >= 0; index = next[index] ?? -1) {
        if (isTaken[index] === 1) continue;
        if (file !== undefined && files[index]?.name !== file) continue;
        isTaken[index] = 1;
        return at(index);
      }
      return undefined;
    },
    *left(): Generator<TensorInFile, void, undefined> {
      for (let index = 0; index < tensors.length; index += 1) {
        const one = isTaken[index] === 1 ? undefined : at(index);
        if (one !== undefined) yield one;
      }
    },
  };
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
  const olds = takerOf(before);
  const compare = (old: TensorInFile, one: TensorInFile): void => {
    const same = (): void => {
      result.same.tensors += 1;
      result.same.bytes += lengthOf(saidOf(one));
    };
    const changed = (by: "type" | "bytes"): void => {
      result.changed.push({ before: shown(old), after: shown(one), by });
    };
    if (!isSameKind(old.tensor, one.tensor)) return changed("type");
    if (isEmpty(old.tensor) && isEmpty(one.tensor)) return same();
    const [contentBefore, content] = [contentOf(old), contentOf(one)];
    if (isSameContent(contentBefore, content)) same();
    else if (isOtherContent(contentBefore, content)) changed("bytes");
    // One of the files is not in parts, or in others: they are the same file as far as files are compared.
    else if (isSameContent([saidOf(old)], [saidOf(one)])) same();
    else result.uncompared.push(shown(one));
  };
  const unmatched: TensorInFile[] = [];
  for (const [index, tensor] of after.tensors.entries()) {
    const file = after.files[index];
    if (file === undefined) throw new TypeError(`tensor ${index} has no file`);
    const old = olds.take(tensor.name, file.name);
    if (old === undefined) unmatched.push({ tensor, file });
    else compare(old, { tensor, file });
  }
  for (const one of unmatched) {
    const old = olds.take(one.tensor.name);
    if (old === undefined) result.added.push(shown(one));
    else compare(old, one);
  }
  for (const old of olds.left()) result.removed.push(shown(old));
  return result;
}

const unreadBeside = (one: TensorsOfModel, other: TensorsOfModel) => {
  const there = new Set(other.unread.map(({ digest }) => digest));
  return one.unread
    .filter(({ digest }) => !there.has(digest))
    .map(({ name, dest }) => ({ name, dest }));
};

const shown = ({ tensor, file }: TensorInFile): ComparedTensor => {
  const { name, dtype = null, shape = null, start, end } = tensor;
  return { file: file.name, name, dtype, shape, bytes: end - start };
};

const isEmpty = ({ start, end }: Tensor): boolean => start === end;

/** Padding behind a tensor is no part of its type. */
const isSameKind = (a: Tensor, b: Tensor): boolean =>
  a.dtype === b.dtype && String(a.shape) === String(b.shape);

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
