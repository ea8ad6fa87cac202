import { lstat, readdir, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { errno } from "../../errors.ts";
import { faultOfDirectory, faultReason, writingReason } from "../../runtime/file-faults.ts";
import type { GcReason, GcReport, PulledDirectory } from "../../report/gc.ts";
import { type Cache, cacheAt } from "../../store/cache/cache.ts";
import { cacheFailure, cacheDirectory } from "../../store/cache/directory.ts";
import { type HeldLock, LockUnavailable, tryLockFile } from "../../store/locks/lock-file.ts";
import { pullLockName } from "../../store/placement/dest-rule.ts";
import { processThatUses } from "../../store/placement/open-elsewhere.ts";
import {
  isPlacedRecord,
  type Placed,
  placedDirectory,
  readPlacedAt,
} from "../../store/records/placed.ts";
import { removeSurveyed, type Survey, survey } from "../../store/records/remove-placed.ts";
import { takeUnused } from "../pull/hold.ts";
import type { JobContext } from "../session/session.ts";

/** Which directories go; with neither limit, only records of directories that are gone. */
export interface GcOptions {
  /** Milliseconds: directories that were not pulled into for longer go. */
  olderThan: number | undefined;
  /** Bytes: the least recently used go until the rest together is no larger. */
  maxSize: number | undefined;
  dryRun: boolean;
}

interface Known {
  record: string;
  placed: Placed;
  found: Survey;
  shown: PulledDirectory;
}

/**
 * Removes directories that were pulled into through this cache and that nothing uses any more. One that is in use,
 * or has anything in it that was not pulled, stays as it is. With no limit only records of directories that are
 * gone are removed. Throws `file` where no cache is known, `system` where it can't be read.
 */
export async function collectDirectories(
  { env, cwd, signal }: Pick<JobContext, "env" | "cwd" | "signal">,
  options: GcOptions,
): Promise<GcReport> {
  const { olderThan, maxSize, dryRun } = options;
  const cache = cacheAt(cacheDirectory({ env, cwd }));
  const report: GcReport = {
    path: cache.root,
    dryRun,
    removed: [],
    kept: [],
    forgotten: 0,
    freed: 0,
  };
  const known: Known[] = [];
  for (const name of await recordNames(cache)) {
    signal.throwIfAborted();
    const record = join(placedDirectory(cache), name);
    const placed = await readPlacedAt(record);
    if (placed === undefined) continue;
    const shown = await shownOf(record, placed);
    try {
      await lstat(placed.dir);
    } catch (error) {
      // What can't be looked at, as below a directory that is not mounted now, is not gone.
      if (!["ENOENT", "ENOTDIR"].includes(errno(error) ?? "")) {
        report.kept.push({ ...shown, reason: "unreadable", detail: faultReason(error) });
        continue;
      }
      if (!dryRun) await forget(cache, record);
      report.forgotten += 1;
      continue;
    }
    if (!(await isPlacedRecord(cache, record, placed.dir))) {
      report.kept.push({
        ...shown,
        reason: "foreign",
        detail: "the path now refers to another directory",
      });
      continue;
    }
    try {
      const found = await survey(placed, signal);
      shown.size = sizeOf([found]);
      known.push({ record, placed, found, shown });
    } catch (error) {
      signal.throwIfAborted();
      report.kept.push({ ...shown, reason: "unreadable", detail: faultReason(error) });
    }
  }
  const left = new Set(known);
  const now = Date.now();
  const keep = ({ shown }: Known, reason: GcReason, detail: string | null = null): void => {
    report.kept.push({ ...shown, reason, detail });
  };
  const oldestFirst = known.toSorted((a, b) => +a.shown.lastUsed - +b.shown.lastUsed);
  for (const one of oldestFirst) {
    signal.throwIfAborted();
    const isOld = olderThan !== undefined && now - one.shown.lastUsed.getTime() > olderThan;
    const isTooMuch =
      maxSize !== undefined && sizeOf([...left].map(({ found }) => found)) > maxSize;
    if (!isOld && !isTooMuch) {
      keep(one, "recent");
      continue;
    }
    const why = await removeUnused(one, { dryRun, signal });
    if (why !== undefined) {
      keep(one, ...why);
      continue;
    }
    left.delete(one);
    report.removed.push(one.shown);
    report.freed += freedBy(one.found);
  }
  return report;
}

async function forget(cache: Cache, record: string): Promise<void> {
  try {
    await rm(record, { force: true });
  } catch (error) {
    throw cacheFailure(cache.root, error);
  }
}

/** The records of directories; none where nothing was pulled through the cache yet. */
async function recordNames(cache: Cache): Promise<string[]> {
  try {
    return await readdir(placedDirectory(cache));
  } catch (error) {
    if (errno(error) === "ENOENT") return [];
    throw cacheFailure(cache.root, error);
  }
}

async function shownOf(record: string, { dir, pulls }: Placed): Promise<PulledDirectory> {
  const { mtime } = await stat(record);
  return { dir, size: 0, lastUsed: mtime, sources: pulls.map(({ source }) => source) };
}

/** Of files that several directories have, each counts once. */
function sizeOf(surveys: readonly Survey[]): number {
  const inodes = new Map(surveys.flatMap(({ inodes: some }) => [...some]));
  return [...inodes.values()].reduce((sum, { size }) => sum + size, 0);
}

const freedBy = ({ inodes }: Survey): number =>
  [...inodes.values()].reduce((sum, { size, isLastName }) => sum + (isLastName ? size : 0), 0);

/** Removes a directory, or says why it stays. */
async function removeUnused(
  { record, placed, found: before, shown }: Known,
  { dryRun, signal }: { dryRun: boolean; signal: AbortSignal },
): Promise<[GcReason, string | null] | undefined> {
  if (before.foreign !== undefined) return ["foreign", before.foreign];
  const { dir } = placed;
  const locks: HeldLock[] = [];
  let isEmptied = false;
  try {
    for (const take of [() => takeUnused(dir), () => tryLockFile(join(dir, pullLockName))]) {
      const lock = take();
      if (lock === undefined) return ["in-use", null];
      locks.push(lock);
    }
    // It was looked at without the locks: a pull may have come between.
    const now = await stat(record).catch(() => undefined);
    if (now?.mtime.getTime() !== shown.lastUsed.getTime()) return ["in-use", null];
    const found = await survey(placed, signal);
    if (found.foreign !== undefined) return ["foreign", found.foreign];
    const pid = await processThatUses(new Set(found.inodes.keys()));
    if (pid !== undefined) return ["in-use", `process ${pid}`];
    if (dryRun) return undefined;
    await removeSurveyed(dir, found, { locks, signal });
    isEmptied = true;
    // One that stays is forgotten by the next run, since the directory is gone.
    await rm(record, { force: true }).catch(() => undefined);
    return undefined;
  } catch (error) {
    if (!(error instanceof LockUnavailable)) {
      signal.throwIfAborted();
      return ["unreadable", faultReason(error)];
    }
    const fault = await faultOfDirectory(dir);
    return [
      "unreadable",
      fault === undefined ? "its files cannot be locked" : writingReason(fault),
    ];
  } finally {
    for (const lock of locks) lock.release();
    // The locks were in it. What is mounted somewhere stays as an empty directory.
    if (isEmptied) await rmdir(dir).catch(() => undefined);
  }
}
