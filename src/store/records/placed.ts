import { createHash } from "node:crypto";
import { lstat, realpath, rename, rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { SizeSchema } from "../../oci/descriptor.ts";
import type { Cache } from "../cache/cache.ts";
import { readRecord, writeRecord } from "../cache/record-file.ts";
import { destFault, placedName } from "../placement/dest-rule.ts";
import { writeFlushed } from "../../runtime/write-flushed.ts";

/**
 * What pulls placed below a directory: `pull --sync` and `cache gc` remove that, and nothing else. A record in the
 * cache for each directory; for those that are kept in sync one in the directory itself as well, since who shares
 * it need not share a cache.
 */

const FileSchema = v.object({
  /** Below the directory; by the rules for dests it can't lead out of it. */
  path: v.pipe(
    v.string(),
    v.check((path) => destFault(`/${path}`) === undefined),
  ),
  size: SizeSchema,
  /** Of the last change, in milliseconds since 1970: another one says that the file is somebody's by now. */
  modified: v.pipe(v.number(), v.safeInteger()),
});

const PullSchema = v.object({
  /** The repository, or the layout, as it is called. */
  source: v.string(),
  /** Of the weights that were pulled last. */
  digest: v.string(),
  files: v.array(FileSchema),
  /** Whether it was pulled with --sync: then the next model that is pulled so takes its place. */
  sync: v.optional(v.boolean()),
});

const PlacedSchema = v.object({
  version: v.literal(1),
  /** Absolute. */
  dir: v.string(),
  /** Whether it is a model's directory in a cache of Hugging Face's clients. */
  hub: v.boolean(),
  pulls: v.array(PullSchema),
});

/** A file as a pull left it. */
export type PlacedFile = v.InferOutput<typeof FileSchema>;
/** One model that was pulled into a directory. */
export type PlacedPull = v.InferOutput<typeof PullSchema>;
/** What was pulled into a directory, by all pulls that are still in force. */
export type Placed = v.InferOutput<typeof PlacedSchema>;

/** More than the files of a few manifests need, in bytes. */
const maxBytes = 64 * 1024 * 1024;

const inDirectory = (dir: string): string => join(dir, placedName);

/** Where the cache has its records of directories. */
export const placedDirectory = ({ recordsDir }: Pick<Cache, "recordsDir">): string =>
  join(recordsDir, "placed");

async function inCache(cache: Pick<Cache, "recordsDir">, dir: string): Promise<string> {
  const real = await realpath(dir).catch(() => dir);
  const name = createHash("sha256").update(real).digest("hex");
  return join(placedDirectory(cache), `${name}.json`);
}

/** A record; undefined for none, and for one that another user can have written. */
export const readPlacedAt = (path: string): Promise<Placed | undefined> =>
  readRecord(path, PlacedSchema, maxBytes);

/** Whether a record of the cache is of what a directory's path leads to now: a link in it may lead elsewhere. */
export const isPlacedRecord = async (
  cache: Pick<Cache, "recordsDir">,
  path: string,
  dir: string,
): Promise<boolean> => (await inCache(cache, dir)) === path;

/** What is known of a directory: what lies in it says more than the cache, which others may not share. */
export async function readPlaced(
  cache: Pick<Cache, "recordsDir">,
  dir: string,
): Promise<Placed | undefined> {
  return (await readPlacedAt(inDirectory(dir))) ?? (await readPlacedAt(await inCache(cache, dir)));
}

/** Whether a file is still what was placed there: nobody changed or replaced it. */
export async function isAsPlaced(dir: string, file: PlacedFile): Promise<boolean> {
  const stats = await lstat(join(dir, file.path)).catch(() => undefined);
  if (stats?.isFile() !== true || stats.size !== file.size) return false;
  return Math.floor(stats.mtimeMs) === file.modified;
}

/** What is to be noted of a file that was just placed; undefined where it is gone again. */
export async function asPlaced(dir: string, path: string): Promise<PlacedFile | undefined> {
  const stats = await lstat(join(dir, path)).catch(() => undefined);
  if (stats?.isFile() !== true) return undefined;
  return { path, size: stats.size, modified: Math.floor(stats.mtimeMs) };
}

/**
 * Writes what is known of a directory to the cache, where that takes it, and to the directory where it is kept in
 * sync, or was. Throws the file system's errors of the directory alone, and only with `sync`.
 */
export async function writePlaced(
  cache: Cache,
  placed: Placed,
  { sync }: { sync: boolean },
): Promise<void> {
  const text = `${JSON.stringify(placed)}\n`;
  const path = await inCache(cache, placed.dir);
  try {
    await writeRecord(cache, path, text);
  } catch {
    // Only `cache gc` will not know the directory.
  }
  const own = inDirectory(placed.dir);
  const isKept = sync || (await lstat(own).catch(() => undefined)) !== undefined;
  if (!isKept) return;
  const temporary = `${own}.tmp`;
  try {
    await writeFlushed(temporary, text);
    await rename(temporary, own);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    if (sync) throw error;
  }
}

/** Notes that a directory is used now: the time of its record is that of the last use. Never throws. */
export async function notePlacedUse(cache: Pick<Cache, "recordsDir">, dir: string): Promise<void> {
  const now = new Date();
  await utimes(await inCache(cache, dir), now, now).catch(() => undefined);
}
