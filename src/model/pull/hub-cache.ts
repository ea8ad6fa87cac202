import { lstat, readFile, readlink, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { type Digest, digestHex } from "../../oci/digest.ts";
import { isTag } from "../../oci/reference.ts";
import { unwritable } from "../../runtime/file-faults.ts";
import { temporaryName } from "../../store/placement/materialize.ts";
import {
  openTargetDirectory,
  type TargetDirectory,
} from "../../store/placement/target-directory.ts";
import type { HubCacheReport } from "../../report/pull.ts";
import { hubRevision } from "../format/hub-revision.ts";
import { below, sharedDirectory } from "../format/shared-directory.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { refuseReadOnly, type WantedFile } from "./pull-plan.ts";
import { writeFlushed } from "../../runtime/write-flushed.ts";

/**
 * The cache of huggingface_hub, written by a pull: clients find the model there without a hub.
 *
 *     models--ORG--MODEL/blobs/<sha256>             the files, as the cache of ocibundle has them
 *     models--ORG--MODEL/snapshots/<commit>/PATH    relative symbolic links to them
 *     models--ORG--MODEL/trees/<commit>.json        all files of the commit: huggingface_hub 1.2x and later
 *                                                   compare it with the snapshot
 *     models--ORG--MODEL/refs/<revision>            the commit; written last
 */
export interface HubModel {
  /** `ORG/MODEL`. */
  id: string;
  /** The revision besides `main`, if the model was named by a tag. */
  tag: string | undefined;
  /** Of the weights. */
  digest: Digest;
  /** All files of the model, also those that are not pulled. */
  entries: readonly WeightEntry[];
}

/** A small file of the cache beside blobs and links. */
export interface HubNote {
  /** Below the model's directory. */
  path: string;
  /** Whether this pull wrote it; else it was there, and right. */
  isNew: boolean;
}

/** What was written into a cache of huggingface_hub. */
export interface HubSnapshot {
  report: HubCacheReport;
  notes: HubNote[];
}

/** The names of a file's blob below the model's directory. */
const blobParts = ({ digestOriginal }: WeightEntry): string[] => [
  "blobs",
  digestHex(digestOriginal),
];

/** The blobs that files are made of, each once, and where they lie below the model's directory `dir`. */
export function hubFiles(dir: string, selected: readonly WeightEntry[]): WantedFile[] {
  const byDigest = new Map(selected.map((entry) => [entry.digestOriginal, entry]));
  return Array.from(byDigest.values(), (entry) => {
    const parts = blobParts(entry);
    return { entry, parts, path: join(dir, ...parts) };
  });
}

/** The path of each file in the repository: below the directory that all dests share. */
export function hubPaths(entries: readonly WeightEntry[]): Map<WeightEntry, string> {
  const root = sharedDirectory(entries.map(({ dest }) => dest));
  return new Map(entries.map((entry) => [entry, below(root, entry.dest)]));
}

/**
 * Makes the snapshot of files whose blobs are in their places, then the list of all files, and last the names of the
 * commit. What is right already is left alone, since it may be another client's. Throws `conflict` for what has a
 * name of the snapshot and is something else, unless it is to be replaced; `system`.
 */
export async function writeSnapshot(
  dir: string,
  model: HubModel,
  selected: readonly WeightEntry[],
  { force, signal }: { force: boolean; signal: AbortSignal },
): Promise<HubSnapshot> {
  const report = snapshotOf(dir, model);
  const { commit, revisions } = report;
  const paths = hubPaths(model.entries);
  const root = ["snapshots", commit];
  const inside = Map.groupBy(selected, (entry) => directoryOf(paths.get(entry) ?? ""));
  for (const [inner, files] of inside) {
    signal.throwIfAborted();
    const parts = [...root, ...(inner === "" ? [] : inner.split("/"))];
    await using directory = await openTargetDirectory(dir, parts);
    const up = "../".repeat(parts.length);
    for (const entry of files) {
      const name = (paths.get(entry) ?? "").slice(inner === "" ? 0 : inner.length + 1);
      await link(directory, name, up + blobParts(entry).join("/"), force);
    }
    await directory.sync();
  }
  const tree = Object.fromEntries(
    Array.from(paths, ([entry, path]) => [path, treeEntry(entry)] as const).toSorted(([a], [b]) =>
      a < b ? -1 : 1,
    ),
  );
  const list = JSON.stringify({ format_version: 1, files: tree }, null, 1);
  const notes = [await write(dir, "trees", `${commit}.json`, list)];
  for (const revision of revisions.toReversed()) {
    notes.push(await write(dir, "refs", revision, commit));
  }
  return { report, notes };
}

/** What a model is called in the cache whose directory of it is `dir`. */
export function snapshotOf(dir: string, { id, tag, digest }: HubModel): HubCacheReport {
  const commit = hubRevision(digest);
  const revisions = [...new Set(["main", ...(tag !== undefined && isTag(tag) ? [tag] : [])])];
  return { id, commit, revisions, snapshot: join(dir, "snapshots", commit) };
}

/** Throws `conflict` where `writeSnapshot` would for what has a name of the snapshot. Writes nothing. */
export async function checkSnapshot(
  dir: string,
  model: HubModel,
  selected: readonly WeightEntry[],
  force: boolean,
): Promise<void> {
  const { snapshot } = snapshotOf(dir, model);
  const paths = hubPaths(model.entries);
  for (const entry of selected) {
    const path = paths.get(entry) ?? "";
    const up = "../".repeat(path.split("/").length + 1);
    await isLinked(join(snapshot, path), up + blobParts(entry).join("/"), force);
  }
}

const directoryOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));

/** A file as the hub's own list of files has it. Every file is as one of LFS: its blob is named by its SHA-256. */
function treeEntry({ digestOriginal, sizeUncompressed: size }: WeightEntry): object {
  const hex = digestHex(digestOriginal);
  return { size, blob_id: hubRevision(digestOriginal), lfs_sha256: hex, lfs_size: size };
}

/** Whether a link is there already. Throws `conflict` for something else, unless it may be replaced. */
async function isLinked(
  path: string,
  target: string,
  force: boolean,
  shown = path,
): Promise<boolean> {
  const there = await lstat(path).catch(() => undefined);
  if (there?.isSymbolicLink() === true && (await readlink(path)) === target) return true;
  if (there === undefined || (force && !there.isDirectory())) return false;
  await refuseReadOnly(path);
  throw new OcibundleError("conflict", `"${shown}" exists with different content`, {
    hint: "add --force to replace it, or pull into another directory with -o",
  });
}

async function link(
  directory: TargetDirectory,
  name: string,
  target: string,
  force: boolean,
): Promise<void> {
  const path = directory.at(name);
  const shown = join(directory.path, name);
  try {
    if (await isLinked(path, target, force, shown)) return;
    const temporary = directory.at(temporaryName(name));
    await rm(temporary, { force: true });
    await symlink(target, temporary);
    await rename(temporary, path);
  } catch (error) {
    throw unwritable(shown, error);
  }
}

/** Writes a small file below the model's directory, whole and flushed; nobody sees half of it. */
async function write(dir: string, inside: string, name: string, text: string): Promise<HubNote> {
  await using directory = await openTargetDirectory(dir, [inside]);
  const path = `${inside}/${name}`;
  if (await isText(directory.at(name), text)) return { path, isNew: false };
  // Whatever lies in `refs` is taken for a revision: the file grows elsewhere.
  await using besides = await openTargetDirectory(dir, ["trees"]);
  const temporary = besides.at(temporaryName(name));
  try {
    await writeFlushed(temporary, text);
    await rename(temporary, directory.at(name));
    await directory.sync();
    return { path, isNew: true };
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw unwritable(join(directory.path, name), error);
  }
}

/** Whether a file has just this text; not where it can't be read. */
async function isText(path: string, text: string): Promise<boolean> {
  const wanted = Buffer.from(text);
  const stats = await lstat(path).catch(() => undefined);
  if (stats?.isFile() !== true || stats.size !== wanted.byteLength) return false;
  const bytes = await readFile(path).catch(() => undefined);
  return bytes?.equals(wanted) === true;
}
