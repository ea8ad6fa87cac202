import { withinOpenFiles } from "../../runtime/open-files.ts";
import { lstat, readdir, rm } from "node:fs/promises";
import pLimit from "p-limit";
import {
  flushFile,
  openTargetDirectory,
  type TargetDirectory,
} from "../../store/placement/target-directory.ts";
import { isPullLeftover } from "../../store/placement/dest-rule.ts";
import type { WantedFile } from "./pull-plan.ts";

/** Directories worked on at once. */
const directoriesAtOnce = 8;

/** What is flushed besides what was fetched, and what may be removed. */
export interface FsyncOptions {
  /** Files that were there before: whoever wrote them may not have flushed them. */
  kept: readonly WantedFile[];
  /** Whether no other process writes into the directory at the same time. */
  alone: boolean;
}

/**
 * Makes pulled files survive a power failure, each directory once for all files in it, and removes what
 * killed runs have left beside them. Throws `file`.
 */
export async function fsyncPulled(
  root: string,
  files: readonly WantedFile[],
  { kept, alone }: FsyncOptions,
): Promise<void> {
  const before = new Set(kept);
  const directories = Map.groupBy(files, ({ parts }) => parts.slice(0, -1).join("/"));
  if (!directories.has("")) directories.set("", []);
  await pLimit(withinOpenFiles(directoriesAtOnce, 4)).map(directories, async ([path, inside]) => {
    await using directory = await openTargetDirectory(root, path === "" ? [] : path.split("/"));
    await removeLeftovers(directory, alone);
    for (const file of inside) {
      // What was fetched is flushed already.
      if (before.has(file)) await flushFile(directory, file.parts.at(-1) ?? "");
    }
    await directory.sync();
  });
}

/** Where others may write at the same time, what was not written to for so long is a killed run's, in milliseconds. */
const lifetime = 24 * 60 * 60 * 1000;

async function removeLeftovers(directory: TargetDirectory, alone: boolean): Promise<void> {
  const before = Date.now() - lifetime;
  for (const name of await readdir(directory.at("."))) {
    if (!isPullLeftover(name)) continue;
    const changed = await lstat(directory.at(name)).catch(() => undefined);
    if (!alone && (changed?.mtimeMs ?? Infinity) > before) continue;
    // In a directory of another user's there are none of ours.
    await rm(directory.at(name), { force: true }).catch(() => undefined);
  }
}
