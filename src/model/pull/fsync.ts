import { withinOpenFiles } from "../../runtime/open-files.ts";
import { lstat, readdir, rm } from "node:fs/promises";
import pLimit from "p-limit";
import {
  flushFile,
  openTargetFolder,
  type TargetFolder,
} from "../../store/placement/target-folder.ts";
import { isPullLeftover } from "../../store/placement/dest-rule.ts";
import type { WantedFile } from "./pull-plan.ts";

/** Folders worked on at once. */
const foldersAtOnce = 8;

export interface FsyncOptions {
  /** Files that were there before: whoever wrote them may not have flushed them. */
  kept: readonly WantedFile[];
  /** Whether no other process writes into the folder at the same time. */
  alone: boolean;
}

/**
 * Makes pulled files survive a power failure, each folder once for all files in it, and removes what
 * killed runs have left beside them. Throws `file`.
 */
export async function fsyncPulled(
  root: string,
  files: readonly WantedFile[],
  { kept, alone }: FsyncOptions,
): Promise<void> {
  const before = new Set(kept);
  const folders = Map.groupBy(files, ({ parts }) => parts.slice(0, -1).join("/"));
  if (!folders.has("")) folders.set("", []);
  await pLimit(withinOpenFiles(foldersAtOnce, 4)).map(folders, async ([path, inside]) => {
    await using folder = await openTargetFolder(root, path === "" ? [] : path.split("/"));
    await removeLeftovers(folder, alone);
    for (const file of inside) {
      // What was fetched is flushed already.
      if (before.has(file)) await flushFile(folder, file.parts.at(-1) ?? "");
    }
    await folder.sync();
  });
}

/** Where others may write at the same time, what was not written to for so long is a killed run's, in milliseconds. */
const lifetime = 24 * 60 * 60 * 1000;

async function removeLeftovers(folder: TargetFolder, alone: boolean): Promise<void> {
  const before = Date.now() - lifetime;
  for (const name of await readdir(folder.at("."))) {
    if (!isPullLeftover(name)) continue;
    const changed = await lstat(folder.at(name)).catch(() => undefined);
    if (!alone && (changed?.mtimeMs ?? Infinity) > before) continue;
    // In a folder of another user's there are none of ours.
    await rm(folder.at(name), { force: true }).catch(() => undefined);
  }
}
