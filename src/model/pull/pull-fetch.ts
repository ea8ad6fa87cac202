import { randomUUID } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { OcibundleError, errno } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Repository } from "../../registry/types.ts";
import { runtime } from "../../runtime/current.ts";
import { obtainBlob } from "../../store/cache/obtain.ts";
import { isUnusable } from "../../store/cache/folder.ts";
import { type HeldLock, LockUnavailable } from "../../store/lock-file.ts";
import {
  type MaterializeWay,
  materialize,
  revealFile,
  temporaryName,
} from "../../store/target/materialize.ts";
import { openTargetFolder, type TargetFolder } from "../../store/target/target-folder.ts";
import { unwritable } from "../../store/verified-write.ts";
import type { Downloader } from "../../transfer/download/download.ts";
import type { OpenRange } from "../../transfer/download/download-ranges.ts";
import type { WantedFile } from "./pull-plan.ts";
import type { Session } from "../session.ts";
import { quoted, type WeightEntry } from "../format/weight-entry.ts";

/** Where a pull's blobs come from. */
export interface PullSource {
  reader: ContentReader;
  /** Set when it is a registry, whose answers say what it makes of a range. */
  repository: Repository | undefined;
  /** For `cache ls`: the reference. */
  name: string;
}

export interface FetchContext {
  session: Session;
  source: PullSource;
  downloader: Downloader;
  /** The folder pulled into. */
  root: string;
  /** Whether files in the way, which the plan has looked at, are replaced. */
  force: boolean;
  useCache: boolean;
  /** Whether no other process writes into the folder at the same time. */
  alone: boolean;
  /** Set once it is seen that files can't share blocks with the cache: then it is not tried for each. */
  seen: { noReflinks?: boolean };
}

/** Blobs fetched at once; their connections have one limit of their own. */
export const fetchesAtOnce = { large: 4, small: 16 } as const;

/** A file up to this size, in bytes, is mostly waiting: for the registry, and for the disk. */
const smallSize = 4 * 1024 * 1024;

export const isSmall = ({ sizeUncompressed }: WeightEntry): boolean =>
  sizeUncompressed <= smallSize;

/** Where a compressed blob grows when its original is to grow at `path`. */
export const compressedPart = (path: string): string => `${path}.blob`;

/** How the files of one original came to their places. */
export type FetchOutcome = "fetched" | "cached";

/** Fetches one original, and gives it to every file that wants it. */
export async function fetchWeight(
  files: readonly [WantedFile, ...WantedFile[]],
  context: FetchContext,
): Promise<FetchOutcome> {
  const [{ entry }] = files;
  const { emit } = context.session;
  if (!context.useCache) return fetchDirectly(files, context);
  try {
    return await fetchThroughCache(files, context);
  } catch (error) {
    if (!(error instanceof UnusableCache)) throw error;
    const why = error.cause instanceof Error ? error.cause.message : "it can't be used";
    emit({ type: "warning", message: `pulling ${quoted(entry.name)} without the cache: ${why}` });
    return fetchDirectly(files, context);
  }
}

/** The cache failed before anything was fetched: the pull goes on without. */
class UnusableCache extends Error {}

async function fetchThroughCache(
  files: readonly [WantedFile, ...WantedFile[]],
  context: FetchContext,
): Promise<FetchOutcome> {
  const { session, source } = context;
  const { cache, signal, emit } = session;
  const [{ entry }] = files;
  let begun = false;
  const obtaining = obtainBlob(
    cache,
    { digest: entry.digestOriginal, size: entry.sizeUncompressed },
    {
      signal,
      use: { name: entry.name, origin: source.name },
      async fetch(path, journal) {
        begun = true;
        if (entry.digest === entry.digestOriginal) {
          await download(entry, { partial: path, journal }, path, context);
        } else {
          await downloadCompressed(entry, path, context);
        }
      },
      onWait: (holder) =>
        emit({
          type: "detail",
          message: `${entry.name}: waiting for process ${holder?.pid ?? "unknown"}, which is fetching it`,
        }),
    },
  );
  const blob = await obtaining.catch((error: unknown) => {
    throw !begun && isUnusable(error) ? new UnusableCache("", { cause: error }) : error;
  });
  try {
    for (const file of files) await materializeFile(file, blob.path, context);
  } finally {
    blob.release();
  }
  return blob.outcome;
}

/** Lets a compressed blob grow in the cache, under a lock of its own, and decompresses it to `output`. */
async function downloadCompressed(
  entry: WeightEntry,
  output: string,
  context: FetchContext,
): Promise<void> {
  const { cache } = context.session;
  // Never waited for: two originals whose locks are held already could wait for each other's blob.
  const lock = await tryLock(context.session, entry);
  if (lock !== undefined) {
    try {
      const place = {
        partial: cache.partialPath(entry.digest),
        journal: cache.journalPath(entry.digest),
      };
      await download(entry, place, output, context);
    } finally {
      lock.release();
    }
    return;
  }
  const partial = await cache.tempPath("blob");
  try {
    await download(entry, { partial, journal: `${partial}.journal` }, output, context);
  } finally {
    await removeParts(partial);
    await cache.discardTemp(partial);
  }
}

async function tryLock({ cache }: Session, { digest }: WeightEntry): Promise<HeldLock | undefined> {
  try {
    return await cache.tryLock(digest);
  } catch (error) {
    if (error instanceof LockUnavailable) return undefined;
    throw error;
  }
}

/** What may lie beside a file that grows at `path`, or in its place. */
const partSuffixes = ["", ".blob", ".journal", ".journal.new"] as const;

async function removeParts(path: string): Promise<void> {
  for (const suffix of partSuffixes) {
    await rm(path + suffix, { force: true }).catch(() => undefined);
  }
}

/** Puts a verified original in the place of a file. */
async function materializeFile(
  { entry, parts }: WantedFile,
  cached: string,
  { root, force, alone, seen, session: { signal, emit } }: FetchContext,
  ways: readonly MaterializeWay[] = seen.noReflinks === true ? plainWays : allWays,
): Promise<MaterializeWay> {
  const name = parts.at(-1) ?? "";
  const folder = await openTargetFolder(root, parts.slice(0, -1));
  try {
    const way = await materialize(cached, folder, name, {
      signal,
      replace: force,
      temporary: alone ? undefined : temporaryName(`${name} ${randomUUID()}`),
      ways,
    });
    if (way !== "reflink") seen.noReflinks = true;
    emit({ type: "detail", message: `${entry.name}: ${way} of "${cached}"` });
    return way;
  } finally {
    await folder.close();
  }
}

/** Fetches beside the final place, with nothing kept elsewhere; further files are copied from the first. */
async function fetchDirectly(
  [first, ...others]: readonly [WantedFile, ...WantedFile[]],
  context: FetchContext,
): Promise<FetchOutcome> {
  const { entry, parts, path } = first;
  const name = parts.at(-1) ?? "";
  const folder = await openTargetFolder(context.root, parts.slice(0, -1));
  try {
    // Only who has the folder alone leaves a part for the next run to go on from.
    const own = context.alone ? name : `${name} ${randomUUID()}`;
    const whole = folder.at(temporaryName(own));
    const partial = entry.digest === entry.digestOriginal ? whole : compressedPart(whole);
    try {
      await download(entry, { partial, journal: `${whole}.journal` }, whole, context);
      await finish(folder, whole, name, path, context.force);
    } catch (error) {
      throw ofFile(path, error);
    } finally {
      if (!context.alone) await removeParts(whole);
    }
    for (const other of others) {
      await materializeFile(other, folder.at(name), context, ownFileWays);
    }
  } finally {
    await folder.close();
  }
  return "fetched";
}

const allWays: readonly MaterializeWay[] = ["reflink", "hard link", "copy"];
const plainWays: readonly MaterializeWay[] = ["hard link", "copy"];

/** Without the cache every file is one of its own, to be edited without changing another. */
const ownFileWays: readonly MaterializeWay[] = ["reflink", "copy"];

/** A file's part has a name that tells nobody anything: the failure is shown as that of the file. */
function ofFile(path: string, error: unknown): unknown {
  const isLocal = error instanceof OcibundleError && error.code === "file";
  return isLocal && errno(error.cause) !== undefined ? unwritable(path, error.cause) : error;
}

async function finish(
  folder: TargetFolder,
  whole: string,
  name: string,
  shown: string,
  replace: boolean,
): Promise<void> {
  try {
    const file = await open(whole, "r+");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    await revealFile(whole, folder.at(name), replace);
  } catch (error) {
    await rm(whole, { force: true }).catch(() => undefined);
    if (errno(error) === "EEXIST") {
      throw new OcibundleError("file", `"${shown}" exists already`, { cause: error });
    }
    throw unwritable(shown, error);
  }
}

/** Downloads an entry's original to `output`, growing in `place`. */
async function download(
  entry: WeightEntry,
  place: { partial: string; journal: string },
  output: string,
  { session: { signal, emit }, source, downloader }: FetchContext,
): Promise<void> {
  const descriptor = { mediaType: entry.mediaType, digest: entry.digest, size: entry.size };
  const item = entry.name;
  emit({ type: "start", phase: "download", item, group: "weights", bytes: entry.size });
  let told = 0;
  const tell = (bytes: number): void => {
    told += bytes;
    emit({ type: "progress", phase: "download", item, bytes });
  };
  const fetchBlob = async (): Promise<string> => {
    try {
      return await downloader.download(
        {
          descriptor,
          open: rangesOf(source, descriptor),
          host: source.repository?.registry.host ?? source.name,
          label: `weight ${quoted(entry.name)}`,
          item,
          place,
          original: { digest: entry.digestOriginal, size: entry.sizeUncompressed },
          decoded: output,
        },
        { signal, onBytes: tell },
      );
    } catch (error) {
      if (!(error instanceof OcibundleError) || error.code !== "integrity") throw error;
      // A mirror's bytes: the registry behind it may have the right ones.
      if (source.repository?.distrust?.(descriptor.digest) !== true) throw error;
      tell(-told);
      return fetchBlob();
    }
  };
  const written = await fetchBlob();
  // What turned out not to be compressed stays where the blob grew.
  if (written !== output) await rename(written, output);
}

/** How the bytes of a blob are asked for: of a registry, or of a layout's file. */
function rangesOf({ reader, repository }: PullSource, descriptor: Descriptor): OpenRange {
  if (repository !== undefined) {
    return (range, signal) => repository.getBlob(descriptor, range, signal);
  }
  return async (asked, signal) => {
    const range = asked ?? { start: 0, end: descriptor.size };
    const source = await reader.blobSource(descriptor, signal);
    if (source.kind === "stream") return { range, body: await source.open(range, signal) };
    const body =
      source.kind === "file"
        ? await runtime.fileBody(
            source.path,
            source.offset + range.start,
            source.offset + range.end,
          )
        : new Blob([source.bytes.slice(range.start, range.end)]);
    return { range, body: body.stream() };
  };
}
