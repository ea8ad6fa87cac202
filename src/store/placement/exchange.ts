import { lstat, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { errno } from "../../errors.ts";
import { runtime } from "../../runtime/current.ts";
import { ownPrefix, stageDirectory } from "./dest-rule.ts";
import { openTargetDirectory } from "./target-directory.ts";

/** What is put aside, below the directory that is kept in sync: as deep below this as it was below that. */
const asideParts = [stageDirectory, "old"] as const;
/** Tells the directory of what is put aside from those above it: no path of a model has this name. */
const heldName = `${ownPrefix}held`;

/**
 * Puts a new file or directory in the place of an old one, which is at `staged` afterwards. In one step where the
 * system can exchange two names (Linux: renameat2); else the name is missing for a moment, and what was there is
 * put aside meanwhile, as what `parts` below `root` was: see `bringBack`. Throws errno errors, and as
 * `openTargetDirectory`.
 */
export async function exchange(
  path: string,
  staged: string,
  { root, parts }: { root: string; parts: readonly string[] },
): Promise<void> {
  if ((await lstat(path).catch(() => undefined)) === undefined) return rename(staged, path);
  if (await runtime.exchange(path, staged)) return undefined;
  const above = [...asideParts, ...parts.slice(0, -1), heldName];
  await using aside = await openTargetDirectory(root, above);
  const old = aside.at(parts.at(-1) ?? "");
  await rename(path, old);
  await rename(staged, path);
  await rename(old, staged);
  return undefined;
}

/** Whether something is put aside, or was by a run that was killed. Throws errno errors. */
export async function hasPutAside(root: string): Promise<boolean> {
  try {
    return (await readdir(join(root, ...asideParts))).length > 0;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errno(error) ?? "")) return false;
    throw error;
  }
}

/**
 * Gives back its name to what a run that was killed had put aside: a name below `root`, whatever lies there, and
 * over no link. Throws errno errors, and as `openTargetDirectory`.
 */
export async function bringBack(root: string): Promise<void> {
  if (await hasPutAside(root)) await bringBackBelow(root, []);
}

async function bringBackBelow(root: string, parts: readonly string[]): Promise<void> {
  await using aside = await openTargetDirectory(root, [...asideParts, ...parts]);
  for (const entry of await readdir(aside.at("."), { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    if (entry.name !== heldName) {
      await bringBackBelow(root, [...parts, entry.name]);
      continue;
    }
    await using held = await openTargetDirectory(root, [...asideParts, ...parts, heldName]);
    await using to = await openTargetDirectory(root, parts);
    for (const name of await readdir(held.at("."))) {
      if (await isFree(to.at(name))) await rename(held.at(name), to.at(name));
    }
  }
}

const isFree = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => false,
    (error: unknown) => {
      if (errno(error) === "ENOENT") return true;
      throw error;
    },
  );
