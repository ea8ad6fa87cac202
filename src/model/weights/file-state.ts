import type { BigIntStats } from "node:fs";
import { stat } from "node:fs/promises";
import { OcibundleError, errno } from "../../errors.ts";
import type { WorkerPool } from "../../runtime/worker-pool.ts";
import { type Codec, fileEndedCode, type PackedFile } from "../../runtime/worker-protocol.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { type FileRecords, isUnchanged, type KnownFile } from "../../store/records/file-records.ts";
import type { CutRecords } from "../../store/records/cut-records.ts";
import type { RemoteRecords } from "../../store/records/remote-records.ts";
import type { SendUnnamed } from "../session/session.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import type { CompressionChoice } from "../format/compression.ts";
import type { PartPlaces } from "../../runtime/part-places.ts";
import { notAFile, unreadable } from "./file-errors.ts";

/** A weight file that is to be read, and how it is to be stored. */
export interface WantedFile {
  name: string;
  path: string;
  /** Called with the file's size in bytes. */
  choose(size: number): CompressionChoice;
  /** How the file is to be cut into parts, where it is. */
  cut?: FileCut | undefined;
}

/** The parts of a file that are to be hashed. */
export interface FileCut {
  /** Where the bytes of each part lie in the file. */
  plan: readonly PartPlaces[];
  /** The rule and its numbers, for records. */
  split: string;
  /** Whether the parts are those that a lock lists: a file's record is of how it is cut by a rule, and keeps that. */
  isOfLock?: boolean | undefined;
  /** Whether the parts are only wanted where the file is read anyway: a file that is known is not read for them. */
  isBeside?: boolean | undefined;
}

/** A SHA-256 digest, of which no shape is checked again. */
export type Sha256 = `sha256:${string}`;

/** What a weight file holds. Sizes in bytes. */
export interface WeightContent {
  digest: Sha256;
  size: number;
  /** What it is stored as when it is compressed. */
  stored?: { codec: Codec; digest: Sha256; size: number };
  /** Whether the file was read; if not, it is unchanged since it was read last. */
  read: boolean;
  /** The digests of its parts, where the file was to be cut. */
  parts?: Sha256[] | undefined;
}

/** What reading weight files needs, and where is remembered what was read. */
export interface ReadOptions {
  /** What was found out about local files. */
  records: FileRecords;
  /** What was found out about remote files. */
  remoteRecords?: RemoteRecords | undefined;
  /** What was found out about the parts of remote files. */
  cutRecords?: CutRecords | undefined;
  cache: Cache;
  signal: AbortSignal;
  emit: EmitEvent;
  /** How many files are read at once. */
  workers: number;
  /** Sends remote files whose digests are not known while they are hashed. */
  sendUnnamed?: SendUnnamed | undefined;
}

/** A weight file as it was when it was looked at. */
export interface OpenFile extends WantedFile {
  stats: BigIntStats;
  size: number;
  choice: CompressionChoice;
  known: KnownFile | undefined;
  /** What it holds, once that is known. */
  content?: WeightContent;
}

/** What reading the files of one run shares. */
export interface Run extends ReadOptions {
  pool: WorkerPool;
}

/** Stats a weight file. Throws `file`, `system`. */
export async function statWeight(path: string): Promise<BigIntStats> {
  let stats: BigIntStats;
  try {
    stats = await stat(path, { bigint: true });
  } catch (cause) {
    throw unreadable(path, cause);
  }
  if (!stats.isFile()) throw notAFile(path, stats);
  return stats;
}

/** Makes sure that the file is what it was before it was read, and notes what it holds. */
export async function finish(
  file: OpenFile,
  began: number,
  { original, auto, stored, parts }: PackedFile & { parts?: Sha256[] | undefined },
  { records }: ReadOptions,
): Promise<void> {
  const now = await statWeight(file.path);
  if (original.size !== file.size || !isUnchanged(file.stats, now))
    throw changedWhileRead(file.path);
  const { digest, size } = original;
  await records.add(file.path, file.stats, began, {
    digest,
    ...(parts === undefined || file.cut === undefined || file.cut.isOfLock === true
      ? {}
      : { parts: { split: file.cut.split, digests: parts } }),
    ...(auto === undefined ? {} : { auto }),
    ...(stored === undefined
      ? {}
      : { [stored.codec]: { digest: stored.digest, size: stored.size } }),
  });
  file.content = { digest, size, read: true, parts, ...(stored === undefined ? {} : { stored }) };
}

/** The error for a file that another program wrote to. */
export const changedWhileRead = (path: string): OcibundleError =>
  new OcibundleError("integrity", `"${path}" changed while it was being read`, {
    hint: "run the command again when no program writes to it",
  });

/** The digests of a file's parts, as a record has them. */
export function knownParts(
  known: KnownFile | undefined,
  cut: FileCut | undefined,
): Sha256[] | undefined {
  if (cut === undefined || known?.parts?.split !== cut.split) return undefined;
  const { digests } = known.parts;
  return digests.length === cut.plan.length ? (digests as Sha256[]) : undefined;
}

/** The error for a file that could not be read. */
export function readFailure({ path }: Pick<OpenFile, "path">, error: unknown): unknown {
  if (error instanceof OcibundleError) return error;
  const code = errno(error);
  if (code === fileEndedCode) return changedWhileRead(path);
  return code === undefined ? error : unreadable(path, error);
}

/** The files' sizes together. */
export const sum = (files: readonly { size: number }[]): number =>
  files.reduce((total, { size }) => total + size, 0);
