import type { Dirent } from "node:fs";
import { lstat, readdir, readlink, rm, rmdir } from "node:fs/promises";
import { join, posix } from "node:path";
import type { HeldLock } from "../locks/lock-file.ts";
import { markerDirectory, ownPrefix, stageDirectory } from "../placement/dest-rule.ts";
import { hasPutAside } from "../placement/exchange.ts";
import { openTargetDirectory } from "../placement/target-directory.ts";
import { isAsPlaced, type Placed } from "./placed.ts";

/** What lies in a directory that was pulled into. */
export interface Survey {
  /** Paths of files and links that are ocibundle's, below the directory; in the order in which they can go. */
  own: string[];
  /** Directories below it, the deepest first. */
  directories: string[];
  /** Inodes of the placed files and their sizes in bytes, each once. */
  inodes: Map<bigint, { size: number; isLastName: boolean }>;
  /** The first path that is not ocibundle's, or was changed. */
  foreign: string | undefined;
}

/** What the markers' directory has. */
const markerNames = /^(?:ready|downloading|failed|lock)(?:[.-].*)?$/;

/** Looks at everything in a directory. Throws errno errors. */
export async function survey(placed: Placed, signal: AbortSignal): Promise<Survey> {
  const { dir, hub, pulls } = placed;
  const files = new Map(pulls.flatMap((pull) => pull.files.map((file) => [file.path, file])));
  const found: Survey = { own: [], directories: [], inodes: new Map(), foreign: undefined };
  const isOwn = async (path: string, entry: Dirent): Promise<boolean> => {
    const parts = path.split("/");
    // What a killed run has put aside there may be anybody's: the next sync gives it back.
    if (path === stageDirectory && (await hasPutAside(dir))) return false;
    if (entry.name.startsWith(ownPrefix)) return true;
    if (parts.at(-2) === markerDirectory) return markerNames.test(entry.name);
    const file = files.get(path);
    if (file !== undefined) return isAsPlaced(dir, file);
    // Clients of the hub share its cache: a snapshot is a pull's where the list of its files is.
    const tree = files.get(`trees/${parts[1]}.json`);
    if (!hub || parts[0] !== "snapshots" || !entry.isSymbolicLink()) return false;
    if (tree === undefined || !(await isAsPlaced(dir, tree))) return false;
    return files.has(posix.join(posix.dirname(path), await readlink(join(dir, path))));
  };
  const visit = async (below: string): Promise<void> => {
    signal.throwIfAborted();
    const entries = await readdir(join(dir, below), { withFileTypes: true });
    if (entries.length === 0 && below !== "") found.foreign ??= below;
    for (const entry of entries) {
      const path = below === "" ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory() && !entry.name.startsWith(ownPrefix)) {
        await visit(path);
        found.directories.push(path);
      } else if (await isOwn(path, entry)) {
        found.own.push(path);
        const stats = await lstat(join(dir, path), { bigint: true });
        if (stats.isFile()) {
          const isLastName = stats.nlink === 1n;
          found.inodes.set(stats.ino, { size: Number(stats.size), isLastName });
        }
      } else found.foreign ??= path;
    }
  };
  await visit("");
  return found;
}

/**
 * Removes what was surveyed in a directory but for itself and the files of the locks that are held in it: a lock
 * removes its own as it lets go. No link that was put in a directory's place is followed. Throws errno errors, and
 * `file` for such a link.
 */
export async function removeSurveyed(
  dir: string,
  { own, directories }: Survey,
  { locks, signal }: { locks: readonly HeldLock[]; signal: AbortSignal },
): Promise<void> {
  const held = new Set(locks.map(({ path }) => path));
  for (const path of own) {
    signal.throwIfAborted();
    if (held.has(join(dir, path))) continue;
    const parts = path.split("/");
    const name = parts.pop() ?? "";
    await using directory = await openTargetDirectory(dir, parts);
    await rm(directory.at(name), { recursive: name.startsWith(ownPrefix), force: true });
  }
  for (const path of directories) await rmdir(join(dir, path)).catch(() => undefined);
}
