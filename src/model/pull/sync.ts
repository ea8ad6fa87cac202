import { link, lstat, mkdir, readdir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { unwritable } from "../../runtime/file-faults.ts";
import { markerDirectory, stageDirectory } from "../../store/placement/dest-rule.ts";
import { bringBack, exchange } from "../../store/placement/exchange.ts";
import { isAsPlaced, type PlacedFile, type PlacedPull } from "../../store/records/placed.ts";
import { openTargetDirectory } from "../../store/placement/target-directory.ts";
import { carryOver } from "./carry-over.ts";
import {
  commonDirectory,
  lookAtReady,
  type MarkedTarget,
  type Markers,
  openMarkers,
} from "./markers.ts";
import type { WantedFile } from "./pull-plan.ts";

/** The next version of what a directory has, until it takes the place of the last one. */
export interface Stage {
  /** What is pulled into instead. */
  root: string;
  files: WantedFile[];
  markers: Markers;
  /** The path that a file of the stage will have. */
  finalPath(path: string): string;
  /**
   * Puts the new version in the place of the old one by renaming whole directories: nobody sees some files of one
   * and some of the other there. What ocibundle did not place stays. Throws `conflict`, `system`.
   */
  swap(): Promise<void>;
}

/** The version that a directory has, and the one that it is to get. */
export interface StageOptions {
  /** Absolute, and locked. */
  dir: string;
  /** What was placed there before, and is to be replaced: none for a directory that is new. */
  last: readonly PlacedPull[];
  /** The digest of the new version. */
  digest: string;
  /** The digest that the markers say the directory is ready with. */
  ready: string | undefined;
  files: readonly WantedFile[];
  /** Where the markers of the new version go. */
  targets: readonly MarkedTarget[];
  /** Whether files that were changed since they were placed are replaced; otherwise that is a `conflict`. */
  force: boolean;
}

/** Whether a directory gets another version than the one that was placed there. */
function isOther(
  last: readonly PlacedPull[],
  wanted: ReadonlySet<string>,
  { digest, ready }: Pick<StageOptions, "digest" | "ready">,
): boolean {
  const isSame = last.every(
    (one) => one.digest === digest && one.files.every(({ path }) => wanted.has(path)),
  );
  // A run that was killed after the new version took its place has noted nothing.
  return !isSame && (last.some((one) => one.digest === digest) || ready !== digest);
}

/**
 * What a stage would do: whether the directory is replaced as a whole, and which paths in it go. Writes nothing.
 * Throws as `openStage`.
 */
export async function lookAtStage(
  options: StageOptions,
): Promise<{ replaces: boolean; removed: string[] }> {
  const { dir, last, files, force } = options;
  const wanted = new Set(files.map(({ parts }) => parts.join("/")));
  if (!isOther(last, wanted, options)) return { replaces: false, removed: [] };
  if (!force) await refuseChanged(dir, last, wanted);
  const removed: string[] = [];
  for (const { path } of filesOf(last)) {
    if (wanted.has(path)) continue;
    const there = await lstat(join(dir, path)).catch(() => undefined);
    if (there?.isFile() === true) removed.push(path);
  }
  return { replaces: true, removed };
}

/**
 * Prepares the next version of a directory, or undefined where a pull into the directory itself does: nothing was
 * placed there yet, or the same. Throws `conflict` where files were changed, or others are in the way; `file`;
 * `system`.
 */
export async function openStage(options: StageOptions): Promise<Stage | undefined> {
  const { dir, last, files, force } = options;
  const top = join(dir, stageDirectory);
  await bringBack(dir).catch((error: unknown) => {
    throw unwritable(top, error);
  });
  await rm(top, { recursive: true, force: true });
  const wanted = new Set(files.map(({ parts }) => parts.join("/")));
  if (!isOther(last, wanted, options)) return undefined;
  if (!force) await refuseChanged(dir, last, wanted);
  const root = join(top, "new");
  await mkdir(root, { recursive: true }).catch((error: unknown) => {
    throw unwritable(root, error);
  });
  const staged = files.map((file) => ({ ...file, path: join(root, ...file.parts) }));
  await takeUnchanged(dir, root, last, staged);
  const markers = openMarkers(
    root,
    files.map(({ parts }) => parts),
    options.targets,
  );
  return {
    root,
    files: staged,
    markers,
    finalPath: (path) => join(dir, path.slice(root.length + 1)),
    async swap() {
      await markers.close();
      // Fetching takes long enough for somebody to change a file meanwhile.
      if (!force) await refuseChanged(dir, last, wanted);
      const placed = partsOf(filesOf(last));
      const union = commonDirectory([...placed, ...files.map(({ parts }) => parts)]);
      const base = union.slice(0, -1);
      const name = union.at(-1);
      const names = name === undefined ? (await readdir(root)).toSorted(markersLast) : [name];
      const old = { files: new Set(placed.map((path) => path.join("/"))), marked: markedBy(last) };
      for (const one of names) await carryOver(dir, root, [...base, one], old);
      await using from = await openTargetDirectory(root, base);
      await using to = await openTargetDirectory(dir, base);
      try {
        for (const one of names) {
          await exchange(to.at(one), from.at(one), { root: dir, parts: [...base, one] });
        }
        await to.sync();
      } catch (error) {
        throw unwritable(join(to.path, names[0] ?? ""), error);
      }
      // What came into the old version until then has its name in the new one as well.
      for (const one of names) await carryOver(root, dir, [...base, one], old);
      await removeMarkers(dir, last, markers.path.slice(root.length + 1));
      const gone = placed.filter((path) => !wanted.has(path.join("/")));
      for (const path of gone) await removeFile(dir, path);
      await rm(top, { recursive: true, force: true });
    },
  };
}

const filesOf = (last: readonly PlacedPull[]): PlacedFile[] => last.flatMap(({ files }) => files);

const partsOf = (files: readonly PlacedFile[]): string[][] =>
  files.map(({ path }) => path.split("/"));

/** The directories, below the one that is pulled into, that can have markers of a version. */
function markedBy(last: readonly PlacedPull[]): Set<string> {
  const marked = new Set<string>();
  for (const { files } of last) {
    const all = partsOf(files);
    const { length: above } = commonDirectory(all);
    for (const parts of all) {
      for (let length = above; length < parts.length; length += 1)
        marked.add(parts.slice(0, length).join("/"));
    }
  }
  return marked;
}

/** Takes back that a version is ready where the next one has no markers, and no exchange took them away. */
async function removeMarkers(
  dir: string,
  last: readonly PlacedPull[],
  next: string,
): Promise<void> {
  for (const { digest, files } of last) {
    const all = partsOf(files);
    const parts = [...commonDirectory(all), markerDirectory];
    if (parts.join("/") === next || (await lookAtReady(openMarkers(dir, all))) !== digest) continue;
    await removeFile(dir, [...parts, "ready"]);
  }
}

const markersLast = (a: string, b: string): number =>
  Number(a === markerDirectory) - Number(b === markerDirectory);

async function refuseChanged(
  dir: string,
  last: readonly PlacedPull[],
  wanted: ReadonlySet<string>,
): Promise<void> {
  const hint = "add --force to replace it, or pull into another directory with -o";
  const placed = new Set<string>();
  for (const file of filesOf(last)) {
    placed.add(file.path);
    const path = join(dir, file.path);
    if (await isAsPlaced(dir, file)) continue;
    if ((await lstat(path).catch(() => undefined)) === undefined) continue;
    throw new OcibundleError("conflict", `"${path}" was changed after it was pulled`, { hint });
  }
  for (const one of wanted) {
    const path = join(dir, one);
    if (placed.has(one) || (await lstat(path).catch(() => undefined)) === undefined) continue;
    throw new OcibundleError("conflict", `"${path}" exists and was not pulled here`, { hint });
  }
}

/** Gives files that may be the same in both versions a second name in the new one: the plan compares digests. */
async function takeUnchanged(
  dir: string,
  root: string,
  last: readonly PlacedPull[],
  staged: readonly WantedFile[],
): Promise<void> {
  const sizes = new Map(filesOf(last).map(({ path, size }) => [path, size]));
  for (const { entry, parts } of staged) {
    if (sizes.get(parts.join("/")) !== entry.sizeUncompressed) continue;
    await using from = await openTargetDirectory(dir, parts.slice(0, -1));
    await using to = await openTargetDirectory(root, parts.slice(0, -1));
    const name = parts.at(-1) ?? "";
    // Where that can't be done the file is fetched again.
    await link(from.at(name), to.at(name)).catch(() => undefined);
  }
}

/** Removes a file that the exchange did not take away, and the directories that are empty then. */
async function removeFile(dir: string, parts: readonly string[]): Promise<void> {
  const there = await lstat(join(dir, ...parts)).catch(() => undefined);
  if (there?.isFile() !== true) return;
  {
    await using directory = await openTargetDirectory(dir, parts.slice(0, -1));
    await rm(directory.at(parts.at(-1) ?? ""), { force: true });
  }
  for (let length = parts.length - 1; length > 0; length -= 1) {
    const isGone = await rmdir(join(dir, ...parts.slice(0, length))).then(
      () => true,
      () => false,
    );
    if (!isGone) return;
  }
}

/** Without locks two pulls could exchange each other's versions. */
export const needsLocks = (dir: string): OcibundleError =>
  new OcibundleError("system", `cannot lock files in "${dir}", which --sync needs`, {
    hint: "use a file system with locks, or pull each version into a separate directory",
  });
