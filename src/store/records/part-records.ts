import type { BigIntStats } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { SizeSchema } from "../../oci/descriptor.ts";
import { DigestSchema } from "../../oci/digest.ts";
import { isBelow } from "../../runtime/file-faults.ts";
import { isTrusted } from "../../runtime/trusted-file.ts";
import type { Cache } from "../cache/cache.ts";
import { readRecord, removeOldestRecords, writeRecord } from "../cache/record-file.ts";
import { unsettledFor } from "./file-records.ts";
import { hashedName } from "./hashed-name.ts";

/** A piece of a file: bytes `start` up to `end` of a part of `size` bytes. */
type PieceOfPart = readonly [digest: string, size: number, start: number, end: number];

/** What lies in a file, from its first byte to its last: a list, or what makes one when it is gone through. */
export interface PartContent extends Iterable<PieceOfPart> {
  readonly length: number;
}

/** A file that parts were verified in. */
export interface PartHolder {
  path: string;
  content: PartContent;
  /** Whether it is unchanged since; else its parts are to be hashed before they count. */
  trusted: boolean;
  stats: BigIntStats;
}

/** Where verified parts lie on this machine. */
export interface PartRecords {
  /** Files with a part that is wanted, which are still there with their size. Never throws. */
  holders(isWanted: (digest: string) => boolean): Promise<readonly PartHolder[]>;
  /**
   * Notes what a file holds: each part was verified, or is `said` to be there, to be hashed before it counts.
   * Never throws.
   */
  add(path: string, content: PartContent, how?: "verified" | "said"): Promise<void>;
}

const Decimal = v.pipe(v.string(), v.regex(/^-?\d{1,20}$/));

const RecordSchema = v.object({
  version: v.literal(1),
  path: v.string(),
  size: Decimal,
  mtimeNs: Decimal,
  ctimeNs: Decimal,
  ino: Decimal,
  dev: Decimal,
  /** Whether a later change could not have left the same times. */
  settled: v.boolean(),
  content: v.array(v.tuple([DigestSchema, SizeSchema, SizeSchema, SizeSchema])),
});

const maxRecords = 256;
const maxBytes = 2 * 1024 * 1024;
const leastPieceBytes = '["sha256:",0,0,0]'.length + 64;

/** The records in a cache directory. */
export function openPartRecords(cache: Cache): PartRecords {
  const directory = join(cache.recordsDir, "parts");
  return {
    holders: (isWanted) => readHolders(cache, directory, isWanted),
    async add(path, content, how = "verified") {
      // Each piece takes its digest and three numbers.
      if (content.length * leastPieceBytes > maxBytes) return;
      try {
        const stats = await lstat(path, { bigint: true });
        const record: v.InferInput<typeof RecordSchema> = {
          version: 1,
          path,
          size: stats.size.toString(),
          mtimeNs: stats.mtimeNs.toString(),
          ctimeNs: stats.ctimeNs.toString(),
          ino: stats.ino.toString(),
          dev: stats.dev.toString(),
          settled:
            how === "verified" &&
            (isBelow(cache.root, path) || unsettledFor(stats, Date.now()) <= 0),
          content: Array.from(content, (piece) => [...piece]) as [],
        };
        const text = JSON.stringify(record);
        if (text.length > maxBytes) return;
        await writeRecord(cache, recordPath(directory, path), text);
        await removeOldestRecords(directory, { records: maxRecords });
      } catch {
        // Without it the parts are looked for anew, or fetched.
      }
    },
  };
}

const recordPath = (directory: string, path: string): string =>
  join(directory, `${hashedName(path)}.json`);

async function readHolders(
  cache: Cache,
  directory: string,
  isWanted: (digest: string) => boolean,
): Promise<PartHolder[]> {
  const names = await readdir(directory).catch(() => []);
  const holders: PartHolder[] = [];
  for (const name of names.slice(0, maxRecords)) {
    const record = await readRecord(join(directory, name), RecordSchema, maxBytes);
    if (record === undefined) continue;
    const { path, content } = record;
    if (!content.some(([digest]) => isWanted(digest))) continue;
    const stats = await lstat(path, { bigint: true }).catch(() => undefined);
    if (stats?.isFile() !== true || stats.size.toString() !== record.size) continue;
    const size = content.reduce((sum, [, , start, end]) => sum + end - start, 0);
    if (BigInt(size) !== stats.size) continue;
    holders.push({ path, content, trusted: isSame(cache, record, stats), stats });
  }
  return holders;
}

/** A hard link to the cache's file changes its time of change, and nobody writes to that file. */
function isSame(
  { root }: Cache,
  record: v.InferOutput<typeof RecordSchema>,
  stats: BigIntStats,
): boolean {
  const inCache = isBelow(root, record.path);
  return (
    record.settled &&
    stats.mtimeNs.toString() === record.mtimeNs &&
    stats.ino.toString() === record.ino &&
    (inCache ||
      (stats.ctimeNs.toString() === record.ctimeNs && stats.dev.toString() === record.dev)) &&
    isTrusted({ uid: Number(stats.uid), mode: Number(stats.mode) })
  );
}
