import { readWeightFiles } from "../weights/read-weight-files.ts";
import type { ReadOptions } from "../weights/file-state.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import type { WeightFile } from "../weights/weight-files.ts";
import type { WeightsLock } from "../format/weights-lock.ts";

/** How weight files differ from their lock. Names, each list sorted. */
export interface LockDrift {
  /** `what` names the members of the entry that differ. */
  changed: { name: string; what: ("digest" | "size" | "dest")[] }[];
  /** In the lock, and not among the files. */
  missing: string[];
  /** Among the files, and not in the lock. */
  added: string[];
}

/**
 * Holds weight files against their lock; the lock is not written and nothing compressed. A dest counts
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
    return entry === undefined ? [] : [{ file, entry }];
  });
  const contents = await readWeightFiles(
    known.map(({ file: { name, path } }) => ({ name, path, choose: () => "none" as const })),
    options,
  );
  return {
    changed: known.flatMap(({ file, entry }, index) => {
      const content = contents[index];
      const what = content === undefined ? [] : differences(file, entry, content);
      return what.length === 0 ? [] : [{ name: file.name, what }];
    }),
    missing: lock.files.map(({ name }) => name).filter((name) => !names.has(name)),
    added: files.map(({ name }) => name).filter((name) => !entries.has(name)),
  };
}

export const isDrift = ({ changed, missing, added }: LockDrift): boolean =>
  changed.length + missing.length + added.length > 0;

function differences(
  file: WeightFile,
  entry: WeightEntry,
  content: { digest: string; size: number },
): ("digest" | "size" | "dest")[] {
  const what: ("digest" | "size" | "dest")[] = [];
  if (content.size !== entry.sizeUncompressed) what.push("size");
  else if (content.digest !== entry.digestOriginal) what.push("digest");
  if (!file.destIsDefault && file.dest !== entry.dest) what.push("dest");
  return what;
}
