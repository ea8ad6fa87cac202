import { OcibundleError } from "../../errors.ts";
import type { ContentReader } from "../../oci/content.ts";
import type { Digest } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import type { HubFile } from "../../serve/hub-source.ts";
import { hubRevision } from "../format/hub-revision.ts";
import { below, sharedDirectory } from "../format/shared-directory.ts";
import { quoted, type WeightEntry } from "../format/weight-entry.ts";
import { readAllContents } from "../graph/weights-contents.ts";
import { expectedEntries, type WeightsContents } from "../graph/manifest-contents.ts";
import type { FilePlan } from "../parts/file-plan.ts";
import { listFiles } from "../pull/part-files.ts";
import type { BlobPart } from "../pull/pull-context.ts";
import { findFiles } from "../pull/pull-entries.ts";
import type { Session } from "../session/session.ts";

/** Where a file's bytes are. */
export interface Located {
  entry: WeightEntry;
  /** Files that are a part of a blob. */
  parts: ReadonlyMap<WeightEntry, BlobPart>;
  /** How the file is put together, where no blob is the file. */
  plan: FilePlan | undefined;
  /** How a file that is a blob can be made of parts that lie on this machine, and of ranges of the blob. */
  delta: FilePlan | undefined;
  /** Whether the file was unpacked into the cache: it is no blob that a registry has. */
  unpacked: boolean;
}

/** The weights of a model at one digest, as a hub has them. */
export interface Served {
  commit: string;
  /** Of the weights artifact; of the index where it has several. */
  digest: Digest;
  reader: ContentReader;
  files: readonly HubFile[];
  byPath: ReadonlyMap<string, HubFile>;
  /** Looks up where a file lies; `again` where what was unpacked is no longer in the cache. */
  locate(path: string, again: boolean): Promise<Located>;
}

/** How a version is listed. */
export interface ServedOptions {
  session: Session;
  /** The directory of dests that is the repository's root; the one that they share unless given. */
  root: string | undefined;
}

/**
 * Lists the weights behind a manifest. Formats that list their files are not looked into: no blob is asked for.
 * Others are fetched and unpacked into the cache. Throws as a pull does.
 */
export async function readServed(
  reader: ContentReader,
  manifest: RawManifest,
  { session, root }: ServedOptions,
): Promise<Served> {
  const { contents, isImage } = await contentsOf(reader, manifest, { session, root });
  // The files of an image are relative to the root already.
  const cut = isImage ? "/" : root;
  const [first] = contents;
  const digest = contents.length === 1 && first !== undefined ? first.raw.digest : manifest.digest;
  const isListed = contents.every(
    ({ packed }) =>
      packed.files.length === 0 && packed.tars.every((tar) => tar.expected !== undefined),
  );
  const find = remembered(() => look(contents, { reader, session, root }));
  const plans = new Map<WeightEntry, FilePlan>();
  const stored = contents.flatMap((one) => listFiles(one, plans, reader.name));
  const entries = isListed
    ? [...stored, ...contents.flatMap(({ packed }) => packed.tars.flatMap(expectedEntries))]
    : (await find.get()).entries;
  const paths = pathsOf(entries, cut, reader.name);
  const files = Array.from(paths, ([path, { digestOriginal, sizeUncompressed }]) => ({
    path,
    size: sizeUncompressed,
    digest: digestOriginal,
  })).toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const isPlain = contents.every(({ packed }) => packed.files.length + packed.tars.length === 0);
  return {
    commit: hubRevision(digest),
    digest,
    reader,
    files,
    byPath: new Map(files.map((file) => [file.path, file])),
    async locate(path, again) {
      if (isPlain) {
        const entry = paths.get(path);
        if (entry === undefined) throw new OcibundleError("not_found", `no file ${quoted(path)}`);
        return { entry, parts: new Map(), ...planned(plans.get(entry)), unpacked: false };
      }
      if (again) find.forget();
      const found = await find.get();
      const entry = pathsOf(found.entries, cut, reader.name).get(path);
      if (entry === undefined) throw new OcibundleError("not_found", `no file ${quoted(path)}`);
      const { parts } = found;
      const isStored = stored.some(({ dest }) => dest === entry.dest) || parts.has(entry);
      return { entry, parts, ...planned(found.plans.get(entry)), unpacked: !isStored };
    },
  };
}

const planned = (plan: FilePlan | undefined): Pick<Located, "plan" | "delta"> =>
  plan?.blob === undefined ? { plan, delta: undefined } : { plan: undefined, delta: plan };

/** The weights, or with a root the files of an image where there are none. */
async function contentsOf(
  reader: ContentReader,
  manifest: RawManifest,
  { session: { signal, emit }, root }: ServedOptions,
): Promise<{ contents: WeightsContents[]; isImage: boolean }> {
  const onPassed = (message: string) => emit({ type: "warning", message });
  try {
    const contents = await readAllContents(reader, manifest, signal, { onPassed });
    const isImage = contents.some(({ format }) => format === "image");
    return { contents, isImage: isImage && root !== undefined };
  } catch (error) {
    const lacks = error instanceof OcibundleError && error.code === "not_found";
    if (!lacks || root === undefined) throw error;
    const contents = await readAllContents(reader, manifest, signal, {
      forImage: true,
      onPassed,
    });
    return { contents, isImage: true };
  }
}

interface Looked {
  entries: WeightEntry[];
  parts: ReadonlyMap<WeightEntry, BlobPart>;
  plans: ReadonlyMap<WeightEntry, FilePlan>;
}

async function look(
  contents: readonly WeightsContents[],
  { reader, session, root }: { reader: ContentReader } & ServedOptions,
): Promise<Looked> {
  const request = { path: root, useCache: true, force: false };
  const found = await findFiles(contents, {
    session,
    source: reader,
    dir: session.tempDir,
    request,
  });
  if (found.session !== session) {
    // A cache that lasts as long as one pull is of no use here.
    await found[Symbol.asyncDispose]();
    throw new OcibundleError(
      "system",
      "the cache cannot be used, but these weights must be unpacked",
      {
        hint: "set OCIBUNDLE_CACHE to a writable directory",
      },
    );
  }
  return found;
}

/** The files by their paths in the repository: below the root, or the directory that all of them share. */
function pathsOf(
  entries: readonly WeightEntry[],
  root: string | undefined,
  on: string,
): Map<string, WeightEntry> {
  const shared = sharedDirectory(entries.map(({ dest }) => dest));
  const named = root === undefined ? shared : `/${root.replaceAll(/^\/+|\/+$/g, "")}`;
  const isBelow = ({ dest }: WeightEntry): boolean => named === "/" || dest.startsWith(`${named}/`);
  const inside = entries.filter(isBelow);
  if (inside.length === 0 && entries.length > 0) {
    throw new OcibundleError("not_found", `${on} has no files below ${quoted(named)}`, {
      hint: `use --root ${quoted(shared)}, or omit --root`,
    });
  }
  return new Map(inside.map((entry) => [below(named, entry.dest), entry]));
}

/** Work that is done once, for all who ask; a failure is not kept. */
function remembered<T>(work: () => Promise<T>): { get(): Promise<T>; forget(): void } {
  let running: Promise<T> | undefined;
  return {
    get() {
      running ??= work().catch((error: unknown) => {
        running = undefined;
        throw error;
      });
      return running;
    },
    forget() {
      running = undefined;
    },
  };
}
