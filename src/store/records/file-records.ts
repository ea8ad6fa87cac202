import type { BigIntStats } from "node:fs";
import { basename, dirname, join } from "node:path";
import * as v from "valibot";
import { SizeSchema } from "../../oci/descriptor.ts";
import { DigestSchema } from "../../oci/digest.ts";
import type { HeldLock } from "../locks/lock-file.ts";
import type { WaitOptions } from "../locks/wait-for-lock.ts";
import { type RecordTemp, mergeRecord, readRecord, writeRecord } from "../cache/record-file.ts";
import { hashedName } from "./hashed-name.ts";

const HashedSchema = v.object({ digest: DigestSchema, size: SizeSchema });

const KnownFileSchema = v.object({
  /** Of the file as it is. */
  digest: DigestSchema,
  /** What the file became when it was compressed. */
  gzip: v.optional(HashedSchema),
  zstd: v.optional(HashedSchema),
  /** What a look at its samples said about compressing it. */
  auto: v.optional(v.picklist(["none", "zstd"])),
  /** The digests of its parts, and by which rule and numbers it was cut. */
  parts: v.optional(
    v.object({ split: v.string(), digests: v.pipe(v.array(DigestSchema), v.maxLength(10_000)) }),
  ),
});

/** What is known of a file's content as long as the file is unchanged. */
export type KnownFile = v.InferOutput<typeof KnownFileSchema>;

/**
 * What files were found to hold when they were read last, so that an unchanged file is not read again.
 * A file is unchanged when its size, its times of modification and change in nanoseconds, its inode and
 * its device are. One record file for each directory, below the cache's records.
 */
export interface FileRecords {
  /** What is known of the file at an absolute path that now has these stats. */
  find(path: string, stats: BigIntStats): Promise<KnownFile | undefined>;
  /**
   * Notes what a file with these stats holds; `read` is when its reading began, in milliseconds since
   * 1970. Adds to what is known of the same file. Nothing is noted when the file was changed so shortly
   * before that a later change could have left the same times.
   */
  add(path: string, stats: BigIntStats, read: number, known: KnownFile): Promise<void>;
  /** Writes what was added, together with what other processes wrote meanwhile. Never throws. */
  save(): Promise<void>;
}

interface RecordPlace extends RecordTemp {
  readonly recordsDir: string;
  lockName(name: string, options: WaitOptions): Promise<HeldLock>;
}

const Decimal = v.pipe(v.string(), v.regex(/^-?\d{1,20}$/));

const RecordedFileSchema = v.object({
  name: v.string(),
  size: Decimal,
  mtimeNs: Decimal,
  ctimeNs: Decimal,
  ino: Decimal,
  dev: Decimal,
  ...KnownFileSchema.entries,
});

type RecordedFile = v.InferOutput<typeof RecordedFileSchema>;

const DirectorySchema = v.object({
  version: v.literal(1),
  /** The directory that they lie in. */
  folder: v.string(),
  /** The file that was recorded last is the last one. */
  files: v.array(RecordedFileSchema),
});

type Directory = Map<string, RecordedFile>;

const maxFiles = 100_000;
const maxBytes = 64 * 1024 * 1024;

/** The records in a cache directory. Each directory's are read when one of its files is asked for. */
export function openFileRecords(place: RecordPlace): FileRecords {
  const directories = new Map<string, Promise<Directory>>();
  const added = new Map<string, Directory>();

  const known = (directory: string): Promise<Directory> => {
    const before = directories.get(directory);
    if (before !== undefined) return before;
    const read = readDirectory(recordPath(place, directory), directory);
    directories.set(directory, read);
    return read;
  };

  const lookUp = async (path: string, stats: BigIntStats): Promise<KnownFile | undefined> => {
    const record = (await known(dirname(path))).get(basename(path));
    if (record === undefined || !isSame(record, stampOf(stats))) return undefined;
    const { name: _n, size: _s, mtimeNs: _m, ctimeNs: _c, ino: _i, dev: _d, ...content } = record;
    return content;
  };

  return {
    find: lookUp,
    async add(path, stats, read, content) {
      if (!isSettled(stats, read)) return;
      const directory = dirname(path);
      const before = await lookUp(path, stats);
      const same = before?.digest === content.digest ? before : undefined;
      const name = basename(path);
      const record = { name, ...stampOf(stats), ...same, ...content };
      (await known(directory)).set(name, record);
      const news = added.get(directory);
      if (news === undefined) added.set(directory, new Map([[name, record]]));
      else news.set(name, record);
    },
    async save() {
      for (const [directory, news] of added) {
        const path = recordPath(place, directory);
        await mergeRecord(place, `files-${hashedName(directory)}`, async () => {
          const merged = await readDirectory(path, directory);
          for (const [name, record] of news) {
            merged.delete(name);
            merged.set(name, record);
          }
          await writeRecord(place, path, format(directory, merged));
        });
      }
      added.clear();
    },
  };
}

/** How long a change can hide behind the times of the one before, in milliseconds. */
export const clockTicks = {
  /** Linux stamps files by a clock that ticks at 100 Hz at the slowest. */
  fine: 20,
  /** FAT counts in two seconds, and some network file systems in one. */
  coarse: 2500,
} as const;

/**
 * How many milliseconds after `now` a file's times can be relied on to change with its content, 0 or
 * less when they can already: a write within the same tick of the file system's clock leaves no trace.
 */
export function unsettledFor(stats: BigIntStats, now: number): number {
  const second = 1_000_000_000n;
  const isCoarse = stats.mtimeNs % second === 0n && stats.ctimeNs % second === 0n;
  const tick = isCoarse ? clockTicks.coarse : clockTicks.fine;
  return Math.max(Number(stats.mtimeMs), Number(stats.ctimeMs)) + 1 + tick - now;
}

const isSettled = (stats: BigIntStats, read: number): boolean => unsettledFor(stats, read) <= 0;

type Stamp = Pick<RecordedFile, "size" | "mtimeNs" | "ctimeNs" | "ino" | "dev">;

const stampOf = (stats: BigIntStats): Stamp => ({
  size: stats.size.toString(),
  mtimeNs: stats.mtimeNs.toString(),
  ctimeNs: stats.ctimeNs.toString(),
  ino: stats.ino.toString(),
  dev: stats.dev.toString(),
});

const isSame = (a: Stamp, b: Stamp): boolean =>
  a.size === b.size &&
  a.mtimeNs === b.mtimeNs &&
  a.ctimeNs === b.ctimeNs &&
  a.ino === b.ino &&
  a.dev === b.dev;

/** Whether a file still is what it was at an earlier `stat`. */
export const isUnchanged = (before: BigIntStats, now: BigIntStats): boolean =>
  isSame(stampOf(before), stampOf(now));

const recordPath = (place: RecordPlace, directory: string): string =>
  join(place.recordsDir, "files", `${hashedName(directory)}.json`);

async function readDirectory(path: string, directory: string): Promise<Directory> {
  const document = await readRecord(path, DirectorySchema, maxBytes);
  if (document?.folder !== directory) return new Map();
  return new Map(document.files.map((record) => [record.name, record]));
}

const format = (directory: string, known: Directory): string =>
  JSON.stringify({ version: 1, folder: directory, files: [...known.values()].slice(-maxFiles) });
