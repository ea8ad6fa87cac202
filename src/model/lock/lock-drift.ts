import { isDeepStrictEqual } from "node:util";
import { OcibundleError } from "../../errors.ts";
import { type CutFiles, cutFiles } from "../weights/cut-files.ts";
import { parallel } from "../../flow/parallel.ts";
import { formChecks, mostEncoders } from "../weights/confirm-form.ts";
import { lockPartsOf, piecesOf } from "../parts/lock-parts.ts";
import { treeNumbersOf } from "../parts/tree.ts";
import { type PartsToCheck, partsToCheck } from "./check-parts.ts";
import { withParts } from "./cut-entries.ts";
import { splitOf } from "./lock-weights.ts";
import { readWeights } from "../weights/read-weights.ts";
import { recallRemote, stateOfEntry } from "../weights/recall-remote.ts";
import {
  type FileCut,
  type ReadOptions,
  statWeight,
  type WeightContent,
} from "../weights/file-state.ts";
import {
  type Compression,
  compressionOf,
  lockPartsMember,
  type WeightEntry,
} from "../format/weight-entry.ts";
import type { WeightFile } from "../weights/weight-files.ts";
import type { WeightsLock } from "../format/weights-lock.ts";
import type { Difference, LockDrift } from "../../report/lock.ts";

/**
 * Compares weight files with their lock, which is not written. A file that is stored compressed is compressed
 * again unless it is known what comes of it: a push can only send the blob that the lock names. A dest counts
 * where one is asked for, and parts where the lock has some. `on` names the lock in messages. Throws as
 * `readWeightFiles` does, and `file` for parts that can't be read.
 */
export async function lockDrift(
  files: readonly WeightFile[],
  lock: WeightsLock,
  options: ReadOptions & { on: string },
): Promise<LockDrift> {
  const entries = new Map(lock.files.map((entry) => [entry.name, entry]));
  const names = new Set(files.map(({ name }) => name));
  const known = files.flatMap((file) => {
    const entry = entries.get(file.name);
    if (entry === undefined) return [];
    recallRemote(file.remote, entry);
    return [{ file, entry }];
  });
  const unread = known.filter(({ file: { remote }, entry }) => {
    const isUnknown = remote !== undefined && remote.digest === undefined;
    return isUnknown && stateOfEntry(remote, entry) === "changed";
  });
  const isUnread = new Set(unread);
  const compared = known.filter((one) => !isUnread.has(one));
  const cuts = await cutsOf(compared, lock, options);
  const { wrong, checks } = await otherChecks(compared, options);
  const contents = await readWeights(
    compared.map(({ file: { name, path, remote }, entry }, index) => ({
      name,
      path,
      remote,
      cut: checks.get(entry)?.cut ?? cuts?.cuts[index],
      // What has another size is not what the lock says, and needs no compressing to be found out.
      choose: (size) =>
        remote === undefined && size === entry.sizeUncompressed ? storedAs(entry) : "none",
    })),
    options,
  );
  const contentOf = new Map(compared.map((one, index) => [one, contents[index]]));
  const hasOtherParts = ({ entry }: Known, content: WeightContent, cut: FileCut | undefined) =>
    !isDeepStrictEqual(
      partsIn(entry, options.on),
      partsIn(withParts(entry, content, cut, cuts?.numbers), options.on),
    );
  const withOtherParts = new Set(
    compared.filter((one, index) => {
      const content = contents[index];
      if (content?.digest !== one.entry.digestOriginal) return false;
      if (wrong.has(one.entry)) return true;
      const check = checks.get(one.entry);
      if (check !== undefined) return !isDeepStrictEqual(content.parts, check.digests);
      return (
        cuts !== undefined &&
        isCut(one, options.on) &&
        hasOtherParts(one, content, cuts.cuts[index])
      );
    }),
  );
  const same = compared.filter(
    (one, index) => contents[index]?.digest === one.entry.digestOriginal,
  );
  await addOtherForms(withOtherParts, same, options);
  return {
    changed: known.flatMap((one) => {
      const { file, entry } = one;
      const content = contentOf.get(one);
      const what =
        content === undefined ? unreadDifferences(file, entry) : differences(file, entry, content);
      if (withOtherParts.has(one)) what.push("parts");
      return what.length === 0 ? [] : [{ name: file.name, what }];
    }),
    missing: lock.files.map(({ name }) => name).filter((name) => !names.has(name)),
    added: files.map(({ name }) => name).filter((name) => !entries.has(name)),
  };
}

/** A file and its entry. */
interface Known {
  file: WeightFile;
  entry: WeightEntry;
}

/**
 * Whether the parts of an entry are compared with those that a lock of its file would have now: a file on this
 * machine, cut by a rule that is known here. Those of others are held against the bytes that the lock says they are.
 */
function isCut({ file, entry }: Known, on: string): boolean {
  const split = file.remote === undefined ? lockPartsOf(entry, on)?.split : undefined;
  return split !== undefined && treeNumbersOf(split) !== undefined;
}

/** What is to be hashed of the other files, and the entries whose parts are known to be wrong already. */
async function otherChecks(
  compared: readonly Known[],
  { on, cutRecords }: { on: string } & Pick<ReadOptions, "cutRecords">,
): Promise<{ wrong: ReadonlySet<WeightEntry>; checks: ReadonlyMap<WeightEntry, PartsToCheck> }> {
  const wrong = new Set<WeightEntry>();
  const checks = new Map<WeightEntry, PartsToCheck>();
  for (const one of compared) {
    const { file, entry } = one;
    if (isCut(one, on) || entry[lockPartsMember] === undefined) continue;
    const size = file.remote === undefined ? (await statWeight(file.path)).size : file.remote.size;
    // A file of another size is found out by that, and its parts are nowhere in it.
    if (size !== undefined && Number(size) !== entry.sizeUncompressed) continue;
    try {
      const check = await partsToCheck(entry, on, cutRecords);
      if (check !== undefined) checks.set(entry, check);
    } catch (error) {
      if (!(error instanceof OcibundleError)) throw error;
      wrong.add(entry);
    }
  }
  return { wrong, checks };
}

/**
 * How the files are cut whose entries have parts, by the lock's numbers; undefined where there are none, or no
 * numbers.
 */
async function cutsOf(
  compared: readonly Known[],
  lock: WeightsLock,
  { on, signal }: { on: string; signal: AbortSignal },
): Promise<CutFiles | undefined> {
  for (const { entry } of compared) lockPartsOf(entry, on);
  const numbers = splitOf(lock, on);
  if (numbers === undefined) return undefined;
  const files = compared.map((one) => ({ path: isCut(one, on) ? one.file.path : undefined }));
  return cutFiles(files, numbers, { signal });
}

/** Adds the entries of unchanged local files that have a part which is stored as another blob than its form gives. */
async function addOtherForms(
  found: Set<Known>,
  same: readonly Known[],
  { on, cache, workers, signal }: ReadOptions & { on: string },
): Promise<void> {
  const forms = formChecks(cache, Math.min(workers, mostEncoders));
  const claims = same.flatMap((one) => {
    const { file, entry } = one;
    const parts = lockPartsOf(entry, on);
    // Of what differs already, more is not asked.
    if (parts === undefined || file.remote !== undefined || found.has(one)) return [];
    return piecesOf(parts).flatMap(({ part, start }) =>
      part.encoding === "none" ? [] : [{ one, part, original: { path: file.path, start } }],
    );
  });
  await parallel(claims, mostEncoders, signal, async ({ one, ...claim }, stop) => {
    if (found.has(one)) return;
    if (!(await forms.confirm(claim, undefined, stop))) found.add(one);
  });
}

/** What an entry is cut into, however its parts are stored. */
function partsIn(entry: WeightEntry, on: string) {
  const split = lockPartsOf(entry, on);
  if (split === undefined) return undefined;
  const { parts, segments } = split;
  return { parts: parts.map(({ digest, size }) => [digest, size]), segments };
}

/** Whether files differ from the lock in anything. */
export const isDrift = ({ changed, missing, added }: LockDrift): boolean =>
  changed.length + missing.length + added.length > 0;

function unreadDifferences(file: WeightFile, entry: WeightEntry): Difference[] {
  const isOtherSize = file.remote?.size !== entry.sizeUncompressed;
  const dest: Difference[] = !file.destIsDefault && file.dest !== entry.dest ? ["dest"] : [];
  return [isOtherSize ? "size" : "version", ...dest];
}

function differences(file: WeightFile, entry: WeightEntry, content: WeightContent): Difference[] {
  const what: Difference[] = [];
  if (content.size !== entry.sizeUncompressed) what.push("size");
  else if (content.digest !== entry.digestOriginal) what.push("digest");
  // An empty file is never stored as it is; a lock that says so is pushed as it says.
  // What is sent from a hub is decided when it is pushed.
  else if (
    file.remote === undefined &&
    entry.digest !== entry.digestOriginal &&
    !givesBlob(content, entry)
  )
    what.push("blob");
  if (!file.destIsDefault && file.dest !== entry.dest) what.push("dest");
  return what;
}

/** How the entry's blob is made; a media type may say otherwise (docs/format.md). */
const storedAs = (entry: WeightEntry): Compression =>
  entry.digest === entry.digestOriginal ? "none" : compressionOf(entry.mediaType);

const givesBlob = ({ stored }: WeightContent, { digest, size }: WeightEntry): boolean =>
  stored?.digest === digest && stored.size === size;
