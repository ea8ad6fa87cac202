import { OcibundleError } from "../../errors.ts";
import type { CompressionChoice } from "../format/compression.ts";
import { readWeights } from "../weights/read-weights.ts";
import { recallRemote } from "../weights/recall-remote.ts";
import type { RemoteFile } from "../weights/remote-file.ts";
import type { FileCut, ReadOptions } from "../weights/file-state.ts";
import {
  checkEntriesApart,
  checkNameAndDest,
  lockPartsMember,
  sortedByName,
  type WeightEntry,
  quoted,
} from "../format/weight-entry.ts";
import type { WeightFile } from "../weights/weight-files.ts";
import { partsOnly } from "../layout/layouts.ts";
import { lockPartsOf } from "../parts/lock-parts.ts";
import { type TreeNumbers, treeNumbersOf } from "../parts/tree.ts";
import { destOf, entryOf, isSameSet, storedAs } from "./lock-entry.ts";
import { recordParts } from "./check-parts.ts";
import { type SplitChoice, withParts } from "./cut-entries.ts";
import { formsOf, knownForms, withStoredParts } from "./stored-parts.ts";
import type { PartsCompression } from "../weights/store-parts.ts";
import { type CutFiles, cutFiles } from "../weights/cut-files.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import { rfc3339, type WeightsLock } from "../format/weights-lock.ts";

/** How files are locked, and what they are compared with. */
export interface LockOptions extends ReadOptions {
  /** Whether remote files that differ from the previous lock are only hashed, and not sent. */
  mustMatch?: boolean | undefined;
  /** What is asked for by `--compression`; `auto` otherwise, and what is stored already stays so. */
  compression: CompressionChoice | undefined;
  /** Whether large files are split into parts; they are where the previous lock has some. */
  parts?: boolean | undefined;
  /** The most layers of weights in parts. */
  mostParts?: number | undefined;
  /** How files will be split that are pushed in parts, where the lock has none. */
  cutFor?: SplitChoice | undefined;
  /** The lock that is to be brought up to date. */
  previous: WeightsLock | undefined;
  /** The lock's name in messages. */
  on: string;
  /** The time that the lock is dated with. */
  now(): Date;
}

/** The lock of files as they are now. */
export interface LockResult {
  lock: WeightsLock;
  /** Whether an entry differs from the previous lock's. */
  changed: boolean;
  /** How many files were read, and how many were known to be unchanged. */
  read: number;
  unchanged: number;
}

/**
 * The lock of weight files, those and no others. What the previous lock has about a file that is still
 * there stays: members that are unknown here, its dest where none is asked for, how it is stored.
 *
 * Throws `file` for what can't be read and for dests that can't be, `integrity` for what changes
 * while it is read.
 */
export async function lockWeights(
  files: readonly WeightFile[],
  options: LockOptions,
): Promise<LockResult> {
  const { on } = options;
  const previous = withoutOddParts(options);
  const hadOdd = previous !== options.previous;
  const before = new Map(previous?.files.map((entry) => [entry.name, entry]));
  // Dests are checked before hours of hashing, not after.
  const placed = files.map((file) => ({ ...file, dest: destOf(file, before.get(file.name)) }));
  checkDests(placed, on);
  for (const { name, remote } of placed) recallRemote(remote, before.get(name));
  const sticky = splitOf(previous, on);
  const wanted = options.parts ?? (sticky !== undefined || hadOdd);
  const { cutFor, mostParts } = options;
  if (mostParts !== undefined && !wanted) throw partsOnly("--most-parts");
  const mayBeRead = placed.some(({ remote }) => remote?.digest === undefined);
  const cut = wanted
    ? await cutFiles(placed, sticky, { layers: mostParts, signal: options.signal })
    : mayBeRead && cutFor !== undefined
      ? await cutFiles(placed, cutFor.numbers, { ...cutFor, signal: options.signal })
      : undefined;
  if (cut !== undefined) warnOfOddHeaders(placed, cut, options.emit);
  // What must be read to be hashed is hashed in parts on the way; the rest is not read for a push that comes later.
  const cutOf = ({ remote }: WeightFile, index: number): FileCut | undefined => {
    const one = cut?.cuts[index];
    if (one === undefined || wanted) return one;
    if (remote !== undefined) return remote.digest === undefined ? one : undefined;
    return { ...one, isBeside: true };
  };
  const contents = await readWeights(
    placed.map((file, index) => ({
      name: file.name,
      path: file.path,
      remote: file.remote,
      expected:
        options.mustMatch === true ? expectedOf(before.get(file.name), file.remote) : undefined,
      cut: cutOf(file, index),
      // Parts have forms of their own: nobody makes one stream of the file that is never sent.
      choose: (size) =>
        wanted && cut?.cuts[index] !== undefined
          ? "none"
          : (options.compression ??
            (file.remote === undefined ? storedAs(before.get(file.name), size) : "none")),
    })),
    options,
  );
  const cutEntries = sortedByName(
    placed.map((file, index) => {
      const content = contents[index];
      if (content === undefined) throw new Error(`"${file.path}" has no content`);
      const keepsType = options.compression === undefined;
      const entry = entryOf(file, content, before.get(file.name), keepsType);
      return withParts(entry, content, wanted ? cut?.cuts[index] : undefined, cut?.numbers);
    }),
  );
  await recordParts(cutEntries, on, options.cutRecords);
  const previousForms = formsOf(previous?.files ?? [], on);
  const entries = await withStoredParts(
    cutEntries,
    {
      choice: partsChoice(options.compression, previousForms.size > 0),
      paths: new Map(placed.flatMap(({ name, path, remote }) => (remote ? [] : [[name, path]]))),
      known: await knownForms(previous?.files ?? [], on, options.cache),
      on,
    },
    options,
  );
  const changed = previous === undefined || hadOdd || !isSameSet(entries, previous.files);
  const created = changed ? rfc3339(options.now()) : previous.created;
  const read = contents.filter((content) => content.read).length;
  return {
    lock: { ...previous, version: "1", created, files: entries },
    changed,
    read,
    unchanged: contents.length - read,
  };
}

/** Of a file that is named as one of tensors and not split by them: a new version saves less than its user expects. */
function warnOfOddHeaders(
  files: readonly WeightFile[],
  { cuts, lackTensors }: CutFiles,
  emit: EmitEvent,
): void {
  for (const [index, { name, dest }] of files.entries()) {
    const [, format] = /\.(safetensors|gguf)$/i.exec(dest) ?? [];
    if (format === undefined || lackTensors[index] !== true) continue;
    const how = cuts[index] === undefined ? "it is stored whole" : "it is split by size alone";
    const message = `weight ${quoted(name)}: its header is no valid one of ${format.toLowerCase()}, or too large: ${how}`;
    emit({ type: "warning", message });
  }
}

/** How parts are stored: as the lock that is there has it, and as they are where it has none in another form. */
function partsChoice(asked: CompressionChoice | undefined, isStored: boolean): PartsCompression {
  if (asked === undefined) return isStored ? "auto" : "none";
  return asked === "gzip" ? "none" : asked;
}

/**
 * The previous lock without parts that can't be read, of which there is a warning: they are written anew, and what
 * uses them says to do that. The same one where all can be read.
 */
function withoutOddParts({ previous, on, emit }: LockOptions): WeightsLock | undefined {
  if (previous === undefined) return undefined;
  const files = previous.files.map((entry) => {
    try {
      lockPartsOf(entry, on);
      return entry;
    } catch (error) {
      if (!(error instanceof OcibundleError)) throw error;
      emit({ type: "warning", message: `${error.message}: ignored` });
      const { [lockPartsMember]: _, ...rest } = entry;
      return rest;
    }
  });
  const isSame = files.every((entry, index) => entry === previous.files[index]);
  return isSame ? previous : { ...previous, files };
}

/** The numbers that a lock was split by: a version that is split by others shares no parts with it. */
export function splitOf(lock: WeightsLock | undefined, on: string): TreeNumbers | undefined {
  for (const entry of lock?.files ?? []) {
    const split = lockPartsOf(entry, on)?.split;
    const numbers = split === undefined ? undefined : treeNumbersOf(split);
    if (numbers !== undefined) return numbers;
  }
  return undefined;
}

/** The digest that a remote file must have to be sent; null where the lock says that it is another one. */
const expectedOf = (before: WeightEntry | undefined, remote: RemoteFile | undefined) =>
  before === undefined || before.sizeUncompressed !== remote?.size ? null : before.digestOriginal;

function checkDests(files: readonly Pick<WeightEntry, "name" | "dest">[], on: string): void {
  for (const { name, dest } of files) checkNameAndDest({ name, dest }, on);
  checkEntriesApart(files, on);
}
