import { resolve } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { shownSource } from "../format/source-uri.ts";
import { quoted, type WeightEntry } from "../format/weight-entry.ts";
import { lockFileName, type WeightsLock } from "../format/weights-lock.ts";
import type { JobContext } from "../session/session.ts";
import type { SplitChoice } from "./cut-entries.ts";
import { makeLock, readPrevious } from "./lock.ts";
import { checkWritable, lockHints, sweepLockTemps, writeLockFile } from "./write-lock-file.ts";

/** Directories and files that are to be pushed as they are. */
export interface DirectoriesRequest {
  paths: readonly string[];
  lock: string | undefined;
  include?: readonly string[] | undefined;
  exclude?: readonly string[] | undefined;
  allowIncomplete?: boolean | undefined;
  /** Whether a lock that differs is brought up to date. */
  updateLock: boolean;
  /** Whether a lock is neither read nor written. */
  noLock: boolean;
  /** Whether nothing is written. */
  dryRun: boolean;
  /** How files will be split that are pushed in parts. */
  cutFor?: SplitChoice | undefined;
}

/** How many names a message has. */
const namesShown = 5;

/**
 * Locks what is not locked, and answers the lock. Throws `integrity` for a lock that differs from the files
 * where it is not to be updated, and as `makeLock` does.
 */
export async function lockDirectories(
  job: JobContext,
  { lock: named, updateLock, noLock, dryRun, ...rest }: DirectoriesRequest,
): Promise<WeightsLock> {
  const name = named ?? lockFileName;
  const path = resolve(job.cwd, name);
  const previous = noLock ? undefined : await readPrevious(job, name);
  const writes = !noLock && !dryRun;
  if (writes && previous === undefined) await checkWritable(path, lockHints.push);
  const request = {
    ...rest,
    mustMatch: !updateLock,
    dest: undefined,
    output: name,
    compression: undefined,
  };
  const { lock, changed } = await makeLock(job, request, name, previous);
  const fits = previous !== undefined && isSameWeights(previous, lock);
  if (fits && !updateLock) return previous;
  if (previous !== undefined && changed && !updateLock) {
    throw new OcibundleError(
      "integrity",
      `${name} does not match ${rest.paths.map((source) => quoted(shownSource(source))).join(", ")}: ${difference(previous, lock)}`,
      {
        hint: "add --update-lock to update the lock, or --no-lock to ignore it",
      },
    );
  }
  if (writes && changed) {
    await sweepLockTemps(path);
    await writeLockFile(path, lock, lockHints.push);
    const count = `${lock.files.length} ${lock.files.length === 1 ? "file" : "files"}`;
    const verb = previous === undefined ? "written" : "updated";
    job.emit({ type: "note", message: `${name} ${verb}: ${count}` });
  }
  return lock;
}

/** Whether two locks differ only in where their files came from: a revision that moved, and left them alone. */
const isSameWeights = (a: WeightsLock, b: WeightsLock): boolean =>
  a.files.length === b.files.length && difference(a, b) === "";

const withoutSource = (entry: WeightEntry): string =>
  JSON.stringify(
    Object.entries(entry)
      .filter(([member]) => member !== "source" && member !== "sourceVersion")
      .toSorted(([x], [y]) => (x < y ? -1 : 1)),
  );

/** "changed "a"; missing "b", "c"; added "d"" */
function difference(before: WeightsLock, now: WeightsLock): string {
  const old = new Map(before.files.map((entry) => [entry.name, entry]));
  const names = new Set(now.files.map(({ name }) => name));
  const known = (entry: WeightEntry): boolean => old.has(entry.name);
  const parts = [
    [
      "changed",
      now.files.filter((entry) => {
        const was = old.get(entry.name);
        return was !== undefined && withoutSource(was) !== withoutSource(entry);
      }),
    ],
    ["missing", before.files.filter(({ name }) => !names.has(name))],
    ["added", now.files.filter((entry) => !known(entry))],
  ] as const;
  return parts
    .filter(([, entries]) => entries.length > 0)
    .map(([what, entries]) => {
      const shown = entries.slice(0, namesShown).map(({ name }) => quoted(name));
      const more = entries.length - shown.length;
      return `${what} ${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
    })
    .join("; ");
}
