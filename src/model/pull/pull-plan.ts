import { withinOpenFiles } from "../../runtime/open-files.ts";
import type { BigIntStats } from "node:fs";
import { lstat } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { parallel } from "../../flow/parallel.ts";
import picomatch from "picomatch";
import { OcibundleError, errno } from "../../errors.ts";
import type { WorkerPool } from "../../runtime/worker-pool.ts";
import type { Cache } from "../../store/cache/cache.ts";
import type { FileRecords } from "../../store/records/file-records.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { faultOfDirectory, isReadOnly, unwritable } from "../../runtime/file-faults.ts";

/** A weight file and the place it is to have. */
export interface WantedFile {
  entry: WeightEntry;
  /** The names below the target directory. */
  parts: readonly string[];
  /** Absolute. */
  path: string;
}

/** Which files of a pull are there, and which are not. */
export interface PullPlan {
  /** There already, with the right content. */
  kept: WantedFile[];
  /** Not there, or to be replaced. */
  wanted: WantedFile[];
}

/**
 * The entries that one of the globs names; all where none is given. A glob is an entry's very name or the
 * directories it begins with (the name of a weight that has several files), or
 * matches a name, a dest with or without its first slash, or, having no slash, a dest's last part.
 * Throws `not_found` for one that names none.
 */
export function selectEntries(
  entries: readonly WeightEntry[],
  globs: readonly string[],
): WeightEntry[] {
  if (globs.length === 0) return [...entries];
  const selected = new Set<WeightEntry>();
  for (const glob of globs) {
    const found = entriesOf(entries, glob);
    if (found.length === 0) {
      throw new OcibundleError("not_found", `--only "${glob}" matches no weight file`, {
        hint: `use a pattern that matches one of ${namesOf(entries)}`,
      });
    }
    for (const entry of found) selected.add(entry);
  }
  return entries.filter((entry) => selected.has(entry));
}

function entriesOf(entries: readonly WeightEntry[], glob: string): WeightEntry[] {
  // A name may have characters in it that mean something in a glob.
  const exact = entries.filter(({ name }) => name === glob || name.startsWith(`${glob}/`));
  if (exact.length > 0) return exact;
  const matches = picomatch(glob, { dot: true });
  const matchesDest = (dest: string): boolean =>
    glob.includes("/")
      ? matches(dest) || matches(dest.replace(/^\//, ""))
      : matches(posix.basename(dest));
  return entries.filter(({ name, dest }) => matches(name) || matchesDest(dest));
}

const shownNames = 5;

const namesOf = (entries: readonly WeightEntry[]): string =>
  entries
    .slice(0, shownNames)
    .map(({ name }) => name)
    .join(", ") + (entries.length > shownNames ? `, and ${entries.length - shownNames} more` : "");

/** An artifact of nothing is no model: whoever waits for files would go on without them. */
export const withoutFiles = (name: string): OcibundleError =>
  new OcibundleError("not_found", `${name} has no files`, {
    hint: "run `ocibundle inspect` to see its content",
  });

/** How files in place are judged. */
export interface PlanOptions {
  signal: AbortSignal;
  /** Whether files with other content are replaced. */
  force: boolean;
  /** Knows the digests of files that are its own under another name: they are not read. */
  cache: Cache;
  records: FileRecords;
  pool: WorkerPool;
  /** Whether a file of the right size is known to be right without being read. */
  isKnown?: (file: WantedFile) => Promise<boolean>;
}

/** Files looked at at once. */
const looksAtOnce = 16;

/**
 * Looks at what is in the way. A file with the right content is kept; one with other content is refused without
 * `force`, all of them before anything is fetched. Throws `conflict` for those, `file` and `system` for what can't be
 * read.
 */
export async function planPull(
  files: readonly WantedFile[],
  options: PlanOptions,
): Promise<PullPlan> {
  const states = await parallel(
    files,
    withinOpenFiles(looksAtOnce, 4),
    options.signal,
    (file, signal) => stateOf(file, { ...options, signal }),
  );
  const inTheWay = files.filter((_file, index) => states[index] === "other");
  const [first, ...more] = inTheWay;
  if (first !== undefined && !options.force) {
    await refuseReadOnly(first.path);
    const others = more.length === 0 ? " exists" : ` and ${more.length} more exist`;
    throw new OcibundleError("conflict", `"${first.path}"${others} with different content`, {
      hint: `add --force to replace ${more.length === 0 ? "it" : "them"}, or pull into another directory with -o`,
    });
  }
  return {
    kept: files.filter((_file, index) => states[index] === "same"),
    wanted: files.filter((_file, index) => states[index] !== "same"),
  };
}

/** What is in the way on a read-only file system can't be replaced or removed. Throws `system` there. */
export async function refuseReadOnly(path: string): Promise<void> {
  const fault = await faultOfDirectory(dirname(path));
  if (isReadOnly(fault)) throw unwritable(path, fault);
}

async function stateOf(
  file: WantedFile,
  options: PlanOptions,
): Promise<"missing" | "same" | "other"> {
  const { entry, path } = file;
  options.signal.throwIfAborted();
  let stats: BigIntStats;
  try {
    stats = await lstat(path, { bigint: true });
  } catch (error) {
    if (errno(error) === "ENOENT") return "missing";
    // Something that is no directory is in the place of one: making the directory will say what.
    if (errno(error) === "ENOTDIR") return "missing";
    throw unwritable(path, error);
  }
  if (stats.isSymbolicLink()) return "other";
  if (!stats.isFile()) {
    await refuseReadOnly(path);
    throw new OcibundleError("conflict", `"${path}" exists and is not a regular file`, {
      hint: "remove it, or pull into another directory with -o",
    });
  }
  if (stats.size !== BigInt(entry.sizeUncompressed)) return "other";
  if ((await options.isKnown?.(file)) === true) return "same";
  const digest = await digestOf(path, stats, entry, options);
  return digest === entry.digestOriginal ? "same" : "other";
}

/** The digest of a file: from the cache when it is the cache's own file, from the records, or read. */
async function digestOf(
  path: string,
  stats: BigIntStats,
  { digestOriginal, sizeUncompressed }: WeightEntry,
  { cache, records, pool, signal }: PlanOptions,
): Promise<string | undefined> {
  const cached = await cache.find({ digest: digestOriginal, size: sizeUncompressed }, signal);
  if (cached !== undefined && !(await cache.isForeign(digestOriginal))) {
    const { ino, dev } = await lstat(cached, { bigint: true });
    if (ino === stats.ino && dev === stats.dev) return digestOriginal;
  }
  const known = await records.find(path, stats);
  if (known !== undefined) return known.digest;
  const read = Date.now();
  const [found] = await pool.hash([{ path, start: 0, end: sizeUncompressed }], { signal });
  if (found !== undefined) await records.add(path, stats, read, { digest: found.digest });
  return found?.digest;
}

/** Where each entry is to lie below `root`. */
export const wantedFiles = (
  root: string,
  entries: readonly WeightEntry[],
  parts: ReadonlyMap<string, readonly string[]>,
): WantedFile[] =>
  entries.map((entry) => {
    const names = parts.get(entry.dest);
    if (names === undefined) throw new TypeError(`no place was found for the dest ${entry.dest}`);
    return { entry, parts: names, path: join(root, ...names) };
  });
