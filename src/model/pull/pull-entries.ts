import { availableParallelism } from "node:os";
import { isUnusable } from "../../store/cache/directory.ts";
import { type StoredFile, type StoredTar } from "../format/artifact/contents.ts";
import { checkEntriesApart, type WeightEntry } from "../format/weight-entry.ts";
import type { WeightsContents } from "../graph/manifest-contents.ts";
import {
  entryOf,
  imageFiles,
  type ListedFiles,
  plainTarFiles,
  requirePath,
  type UnpackedTar,
  unpackedFiles,
  unpackOptions,
} from "./listed-entries.ts";
import { createWorkerPool } from "../../runtime/worker-pool.ts";
import { createDownloader } from "../../transfer/download/download.ts";
import type { Session } from "../session/session.ts";
import { goOnWithoutCache } from "./pull-warnings.ts";
import { noAssembly } from "./assembly.ts";
import type { FilePlan } from "../parts/file-plan.ts";
import { listPlainTar } from "./list-tar.ts";
import { listFiles } from "./part-files.ts";
import type { BlobPart, FetchContext, PullSource } from "./pull-context.ts";
import { unpackFile } from "./unpack-file.ts";
import { layerLabel, type UnpackedEntry, unpackedBefore, unpackLayer } from "./unpack-layer.ts";
import { openScratch, sweepScratch } from "./scratch-cache.ts";
import { withBlob } from "./with-blob.ts";

/** The files of weights in any format, and what is needed to fetch them. */
export interface FoundFiles extends AsyncDisposable {
  entries: WeightEntry[];
  /** Those that are a part of a blob. The others are a blob, or in the session's cache already. */
  parts: Map<WeightEntry, BlobPart>;
  /** Those that are put together from parts. */
  plans: Map<WeightEntry, FilePlan>;
  /** Digests of the files that were unpacked just now. */
  unpacked: Set<string>;
  /** With the cache that has what was unpacked. */
  session: Session;
  useCache: boolean;
}

/** How files are looked up whose format does not list them. */
export interface FindRequest {
  /** The directory of an image whose files are wanted. */
  path?: string | undefined;
  /** Whether what is unpacked stays in the cache; otherwise it lasts as long as the pull. */
  useCache: boolean;
  force: boolean;
  /** Whether archives that are not compressed stay where they are: they are read, and their files are parts of them. */
  inPlace?: boolean;
  /** Told of the bytes that were fetched of archives. */
  onFetched?: ((bytes: number) => void) | undefined;
}

/**
 * The files of weights, looked up where their format does not list them: plain archives by their headers;
 * what is compressed, or has no digests of its files, is fetched and unpacked into the cache, or into one
 * that lasts as long as what is returned where there is to be none. Dispose of it after the pull.
 */
export async function findFiles(
  contents: readonly WeightsContents[],
  {
    session: given,
    source,
    dir,
    request,
  }: {
    session: Session;
    source: PullSource;
    dir: string;
    request: FindRequest;
  },
): Promise<FoundFiles> {
  const isPacked = contents.some(({ packed }) => packed.files.length + packed.tars.length > 0);
  await sweepScratch(dir);
  const temp = isPacked && !request.useCache ? await openScratch(dir) : undefined;
  const scratch = temp?.cache;
  const session = scratch === undefined ? given : { ...given, cache: scratch };
  const plans = new Map<WeightEntry, FilePlan>();
  const found: FoundFiles = {
    entries: contents.flatMap((one) => listFiles(one, plans, source.name)),
    parts: new Map(),
    plans,
    unpacked: new Set(),
    session,
    useCache: request.useCache || scratch !== undefined,
    async [Symbol.asyncDispose]() {
      await temp?.remove();
    },
  };
  try {
    if (isPacked) await lookInto(contents, found, { source, dir, request });
    checkEntriesApart(found.entries, source.name);
    return found;
  } catch (error) {
    await found[Symbol.asyncDispose]();
    if (!isPacked || !request.useCache || !isUnusable(error)) throw error;
    goOnWithoutCache({ session: given, seen: {} }, error);
    const again = { session: given, source, dir, request: { ...request, useCache: false } };
    return findFiles(contents, again);
  }
}

async function lookInto(
  contents: readonly WeightsContents[],
  { entries, parts, session, unpacked }: FoundFiles,
  { source, dir, request }: { source: PullSource; dir: string; request: FindRequest },
): Promise<void> {
  const workers = createWorkerPool(availableParallelism());
  const { emit, flags } = session;
  const { force, path, inPlace = false, onFetched } = request;
  const connections = flags.concurrency;
  const downloader = createDownloader({ connections, workers, emit, onFetched });
  const assembly = noAssembly(session.cache);
  const own = {
    force,
    useCache: true,
    alone: true,
    link: "auto" as const,
    seen: {},
    workers,
    assembly,
  };
  const context: FetchContext = { session, source, downloader, root: dir, parts, ...own };
  const place: Place = { context, parts, unpacked, inPlace };
  try {
    for (const { packed } of contents) {
      for (const file of packed.files) entries.push(await decodedEntry(file, place));
      const overlays = packed.tars.filter((tar) => tar.overlay);
      if (overlays.length > 0) entries.push(...(await imageEntries(overlays, place, path)));
      for (const tar of packed.tars) {
        if (!tar.overlay) entries.push(...(await tarFiles(tar, place)));
      }
    }
  } finally {
    workers.close();
  }
}

/** Where archives are looked into. */
interface Place extends Required<Pick<FindRequest, "inPlace">> {
  context: FetchContext;
  /** Gets the files that are parts of a blob. */
  parts: Map<WeightEntry, BlobPart>;
  /** Gets the digests of the files that are unpacked. */
  unpacked: Set<string>;
}

async function tarFiles(tar: StoredTar, place: Place): Promise<WeightEntry[]> {
  const { context, parts } = place;
  const wanted = tar.expected;
  const found =
    (await plainTarFiles(tar, context)) ??
    unpackedFiles(tar, await unpack(tar, place, (name) => wanted?.has(name) ?? true), context);
  return withParts(found, parts);
}

function withParts(found: ListedFiles, parts: Map<WeightEntry, BlobPart>): WeightEntry[] {
  for (const [entry, part] of found) if (part !== undefined) parts.set(entry, part);
  return [...found.keys()];
}

async function imageEntries(
  tars: readonly StoredTar[],
  place: Place,
  path: string | undefined,
): Promise<WeightEntry[]> {
  const { context, parts } = place;
  const directory = requirePath(path, context.source.name);
  const layers: UnpackedTar[] = [];
  for (const tar of tars) layers.push({ tar, entries: await unpack(tar, place, () => true) });
  return withParts(imageFiles(layers, directory, context), parts);
}

/** The entries of a tar archive, its files in the cache: from an earlier run, or fetched and unpacked. */
async function unpack(
  tar: StoredTar,
  { context, unpacked, inPlace }: Place,
  wants: (name: string) => boolean,
): Promise<UnpackedEntry[]> {
  const { blob } = tar;
  const options = unpackOptions(tar, context, wants);
  const { source, session } = context;
  const listed = inPlace ? await listPlainTar(source, tar, options.on, session.signal) : undefined;
  if (listed !== undefined) return listed;
  const before = await unpackedBefore(blob.digest, options);
  if (before !== undefined) return before;
  const entries = await withBlob(blob, context, (path) => unpackLayer(blob.digest, path, options));
  for (const entry of entries) if (entry.type === "file") unpacked.add(entry.digest);
  return entries;
}

/** A blob that may be compressed, as the file that it is of. */
async function decodedEntry(
  { name, dest, blob }: StoredFile,
  { context, unpacked }: Place,
): Promise<WeightEntry> {
  const { source } = context;
  const { cache, signal } = context.session;
  const on = layerLabel(source.name, blob.digest);
  const file = await withBlob(blob, context, (path) =>
    unpackFile(path, { cache, signal, name, origin: source.name, on }),
  );
  unpacked.add(file.digest);
  return { ...entryOf({ prefix: "", under: "/" }, dest.slice(1), file, source.name), name };
}
