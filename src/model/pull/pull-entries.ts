import { availableParallelism } from "node:os";
import { posix } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { isUnusable } from "../../store/cache/directory.ts";
import { type StoredFile, type StoredTar } from "../format/artifact/contents.ts";
import {
  checkEntriesApart,
  checkNameAndDest,
  layerTypes,
  quoted,
  type WeightEntry,
} from "../format/weight-entry.ts";
import type { WeightsContents } from "../graph/weights-contents.ts";
import { mergeLayers } from "./overlay.ts";
import { createWorkerPool } from "../../runtime/worker-pool.ts";
import { createDownloader } from "../../transfer/download/download.ts";
import type { Session } from "../session/session.ts";
import { goOnWithoutCache } from "./pull-warnings.ts";
import { noAssembly } from "./assembly.ts";
import type { FilePlan } from "../parts/file-plan.ts";
import { listPlainTar } from "./list-tar.ts";
import { listFiles } from "./part-files.ts";
import type { BlobPart, FetchContext, PullSource } from "./pull-context.ts";
import { findInTar } from "../graph/tar-ranges.ts";
import {
  layerLabel,
  refuseLinks,
  type UnpackedEntry,
  unpackedBefore,
  unpackFile,
  unpackLayer,
} from "./unpack-layer.ts";
import { openScratch, sweepScratch } from "./scratch-cache.ts";
import { withBlob } from "./with-blob.ts";

/** The files of weights in any format, and what is needed to fetch them. */
export interface FoundFiles extends AsyncDisposable {
  entries: WeightEntry[];
  /** Those that are a part of a blob. The others are a blob, or in the session's cache already. */
  parts: Map<WeightEntry, BlobPart>;
  /** Those that are put together from parts. */
  plans: Map<WeightEntry, FilePlan>;
  /** With the cache that has what was unpacked. */
  session: Session;
  useCache: boolean;
}

export interface FindRequest {
  path?: string | undefined;
  useCache: boolean;
  force: boolean;
  /** Whether archives that are not compressed stay where they are: they are read, and their files are parts of them. */
  inPlace?: boolean;
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
  { entries, parts, session }: FoundFiles,
  { source, dir, request }: { source: PullSource; dir: string; request: FindRequest },
): Promise<void> {
  const workers = createWorkerPool(availableParallelism());
  const { emit, flags } = session;
  const { force, path, inPlace = false } = request;
  const downloader = createDownloader({ connections: flags.concurrency, workers, emit });
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
  const place: Place = { context, parts, inPlace };
  try {
    for (const { packed } of contents) {
      for (const file of packed.files) entries.push(await decodedEntry(file, context));
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

/** An entry whose file is in the cache, or will be fetched as it is. */
function entryOf(
  { prefix, under }: Pick<StoredTar, "prefix" | "under">,
  name: string,
  { digest, size }: Pick<WeightEntry, "digest" | "size">,
  on: string,
): WeightEntry {
  const entry = {
    name: `${prefix}${name}`,
    dest: posix.join(under, name),
    digestOriginal: digest,
    digest,
    size,
    sizeUncompressed: size,
    mediaType: layerTypes.none,
  };
  checkNameAndDest(entry, on);
  return entry;
}

/** Where archives are looked into. */
interface Place extends Required<Pick<FindRequest, "inPlace">> {
  context: FetchContext;
  /** Gets the files that are parts of a blob. */
  parts: Map<WeightEntry, BlobPart>;
}

async function tarFiles(tar: StoredTar, place: Place): Promise<WeightEntry[]> {
  const { parts } = place;
  const { source, session } = place.context;
  const on = source.name;
  if (tar.expected !== undefined) {
    const offsets = await findInTar(source, tar, session.signal);
    if (offsets !== undefined) {
      return Array.from(tar.expected, ([name, file]) => {
        const entry = entryOf(tar, name, file, on);
        const offset = offsets.get(name);
        // An empty file has no range.
        if (offset !== undefined) parts.set(entry, { blob: tar.blob, offset });
        return entry;
      });
    }
  }
  const wanted = tar.expected;
  const unpacked = await unpack(tar, place, (name) => wanted?.has(name) ?? true);
  refuseLinks(unpacked, on);
  const files = new Map<string, WeightEntry>();
  for (const entry of unpacked) {
    if (entry.type !== "file") continue;
    if (files.has(entry.name)) {
      const message = `${on}: ${quoted(entry.name)} appears more than once in an archive; the last one is used`;
      session.emit({ type: "warning", message });
    }
    const made = entryOf(tar, entry.name, { ...entry, digest: sha256(entry) }, on);
    if (entry.offset !== undefined) parts.set(made, { blob: tar.blob, offset: entry.offset });
    files.set(entry.name, made);
  }
  return [...files.values()];
}

const sha256 = ({ digest }: { digest: string }): `sha256:${string}` => digest as `sha256:${string}`;

async function imageEntries(
  tars: readonly StoredTar[],
  place: Place,
  path: string | undefined,
): Promise<WeightEntry[]> {
  const { context, parts } = place;
  const on = context.source.name;
  if (path === undefined) {
    throw new OcibundleError("not_found", `${on} is an image and has no weights`, {
      hint: "use --path to pull a directory, such as `--path /models`, or --image to pull the image",
    });
  }
  const layers: UnpackedEntry[][] = [];
  const places = new Map<string, BlobPart>();
  for (const tar of tars) {
    const unpacked = await unpack(tar, place, () => true);
    layers.push(unpacked);
    for (const entry of unpacked) {
      if (entry.type !== "file" || entry.offset === undefined) continue;
      places.set(entry.digest, { blob: tar.blob, offset: entry.offset });
    }
  }
  const { files, unresolved, follow } = mergeLayers(layers);
  const asked = posix.join("/", path).replace(/^\//, "").replace(/\/$/, "");
  const directory = follow(asked) ?? asked;
  const inside = (name: string): boolean => directory === "" || name.startsWith(`${directory}/`);
  const lost = unresolved.filter(inside);
  if (lost.length > 0) {
    const more = lost.length > 1 ? ` and ${lost.length - 1} more` : "";
    context.session.emit({
      type: "warning",
      message: `${quoted(lost[0] ?? "")}${more}: skipped, the link has no target in the image`,
    });
  }
  const found = files.filter(({ name }) => inside(name));
  if (found.length === 0) {
    const isFile = files.some(({ name }) => name === directory);
    const why = isFile ? "is a file of it, not a directory" : "is not a directory with files";
    throw new OcibundleError("not_found", `${on}: ${quoted(`/${asked}`)} ${why}`, {
      hint: isFile
        ? `use \`--path ${quoted(posix.dirname(`/${asked}`))}\``
        : "use another directory of the image with --path",
    });
  }
  const at = directory === "" ? 0 : directory.length + 1;
  return found.map((file) => {
    const root = { prefix: "", under: "/" };
    const entry = entryOf(root, file.name.slice(at), { ...file, digest: sha256(file) }, on);
    const part = places.get(file.digest);
    if (part !== undefined) parts.set(entry, part);
    return entry;
  });
}

/** The entries of a tar archive, its files in the cache: from an earlier run, or fetched and unpacked. */
async function unpack(
  tar: StoredTar,
  { context, inPlace }: Place,
  wants: (name: string) => boolean,
): Promise<UnpackedEntry[]> {
  const { source } = context;
  const { cache, signal } = context.session;
  const { blob } = tar;
  const on = layerLabel(source.name, blob.digest);
  const listed = inPlace ? await listPlainTar(source, tar, on, signal) : undefined;
  if (listed !== undefined) return listed;
  const options = {
    cache,
    signal,
    wants,
    expected: tar.expected,
    overlay: tar.overlay,
    diffId: tar.diffId,
    origin: source.name,
    on,
  };
  const before = await unpackedBefore(blob.digest, options);
  if (before !== undefined) return before;
  return withBlob(blob, context, (path) => unpackLayer(blob.digest, path, options));
}

/** A blob that may be compressed, as the file that it is of. */
async function decodedEntry(
  { name, dest, blob }: StoredFile,
  context: FetchContext,
): Promise<WeightEntry> {
  const { source } = context;
  const { cache, signal } = context.session;
  const on = layerLabel(source.name, blob.digest);
  const file = await withBlob(blob, context, (path) =>
    unpackFile(path, { cache, signal, name, origin: source.name, on }),
  );
  return { ...entryOf({ prefix: "", under: "/" }, dest.slice(1), file, source.name), name };
}
