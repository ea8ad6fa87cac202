import { readWeights } from "../weights/read-weights.ts";
import { recallRemote, stateOfEntry } from "../weights/recall-remote.ts";
import type { ReadOptions, WeightContent } from "../weights/file-state.ts";
import { type Compression, compressionOf, type WeightEntry } from "../format/weight-entry.ts";
import type { WeightFile } from "../weights/weight-files.ts";
import type { WeightsLock } from "../format/weights-lock.ts";
import type { Difference, LockDrift } from "../../report/lock.ts";

/**
 * Compares weight files with their lock, which is not written. A file that is stored compressed is compressed
 * again unless it is known what comes of it: a push can only send the blob that the lock names. A dest counts
 * where one is asked for. Throws as `readWeightFiles` does.
 */
export async function lockDrift(
  files: readonly WeightFile[],
  lock: WeightsLock,
  options: ReadOptions,
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
  const contents = await readWeights(
    compared.map(({ file: { name, path, remote }, entry }) => ({
      name,
      path,
      remote,
      // What has another size is not what the lock says, and needs no compressing to be found out.
      choose: (size) =>
        remote === undefined && size === entry.sizeUncompressed ? storedAs(entry) : "none",
    })),
    options,
  );
  const contentOf = new Map(compared.map((one, index) => [one, contents[index]]));
  return {
    changed: known.flatMap((one) => {
      const { file, entry } = one;
      const content = contentOf.get(one);
      const what =
        content === undefined ? unreadDifferences(file, entry) : differences(file, entry, content);
      return what.length === 0 ? [] : [{ name: file.name, what }];
    }),
    missing: lock.files.map(({ name }) => name).filter((name) => !names.has(name)),
    added: files.map(({ name }) => name).filter((name) => !entries.has(name)),
  };
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
