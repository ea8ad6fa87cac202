import { parallel } from "../../flow/parallel.ts";
import type { ByteRange } from "../../oci/content.ts";
import { withinOpenFiles } from "../../runtime/open-files.ts";
import {
  type FileToSplit,
  isSplit,
  mayBeSplit,
  numbersFor,
  partsOfFile,
} from "../parts/tree-numbers.ts";
import { type TreeNumbers, treeRule } from "../parts/tree.ts";
import { fileReader } from "../tensors/read-at.ts";
import { readTensors } from "../tensors/read-tensors.ts";
import { unreadable } from "./file-errors.ts";
import { sourceReader } from "../layout/source-reader.ts";
import { type FileCut, statWeight } from "./file-state.ts";
import type { RemoteFile } from "./remote-file.ts";
import { openRegular } from "../../runtime/regular-file.ts";

/** Headers that are read at once. */
const headersAtOnce = 8;

/** How files are split. */
export interface CutFiles {
  numbers: TreeNumbers;
  /** In the order of the files; undefined for one that is not split. */
  cuts: (FileCut | undefined)[];
  /** In the same order: whether the file is large enough to be split by its tensors, and none were found in it. */
  lackTensors: boolean[];
}

/**
 * How files are cut into parts: each by its header, all by the same numbers, which are chosen unless they are
 * given. Files that are nowhere are not split, and neither are remote ones that can't be read from where a read of
 * them broke off. Throws `file` for what can't be read, and what the source of a remote file throws.
 */
export async function cutFiles(
  files: readonly { path: string | undefined; remote?: RemoteFile | undefined }[],
  given: TreeNumbers | undefined,
  { layers, signal }: { layers?: number | undefined; signal: AbortSignal },
): Promise<CutFiles> {
  const atOnce = withinOpenFiles(headersAtOnce, 1);
  const found = await parallel(files, atOnce, signal, async ({ path, remote }, stop) => {
    if (remote !== undefined) return lookIntoRemote(remote, stop);
    return path === undefined ? undefined : lookInto(path);
  });
  const split = found.filter((file): file is FileToSplit => file !== undefined && isSplit(file));
  const others = found.length - split.length;
  const numbers = numbersFor(split, given, { others, layers });
  const key = `${treeRule} ${numbers.least} ${numbers.most}`;
  return {
    numbers,
    cuts: found.map((file) =>
      file === undefined || !isSplit(file)
        ? undefined
        : { plan: partsOfFile(file, numbers), split: key },
    ),
    lackTensors: found.map(
      (file) => file !== undefined && file.tensors === undefined && mayBeSplit(file.size),
    ),
  };
}

async function lookInto(path: string): Promise<FileToSplit> {
  const size = Number((await statWeight(path)).size);
  if (!mayBeSplit(size)) return { size, tensors: undefined };
  try {
    await using file = await openRegular(path);
    return { size, tensors: await readTensors(fileReader(file), size) };
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function lookIntoRemote(
  { size, goesOn, open: openRange }: RemoteFile,
  signal: AbortSignal,
): Promise<FileToSplit | undefined> {
  if (size === undefined || goesOn !== true) return undefined;
  if (!mayBeSplit(size)) return { size, tensors: undefined };
  const source = {
    kind: "stream" as const,
    open: (range: ByteRange, stop: AbortSignal) => Promise.resolve(openRange(range, stop)),
  };
  return { size, tensors: await readTensors(sourceReader(source, size, signal), size) };
}
