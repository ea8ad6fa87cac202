import { link, lstat, readdir, readlink, symlink } from "node:fs/promises";
import { join } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { markerDirectory, ownPrefix } from "../../store/placement/dest-rule.ts";
import { openTargetDirectory } from "../../store/placement/target-directory.ts";

/**
 * Gives what ocibundle did not place a second name in the new version, before that is seen by anybody. Throws
 * `conflict` for what can have none, errno errors, and as `openTargetDirectory`.
 */
export async function carryOver(
  dir: string,
  root: string,
  parts: readonly string[],
  old: { files: ReadonlySet<string>; marked: ReadonlySet<string> },
): Promise<void> {
  const there = await lstat(join(dir, ...parts)).catch(() => undefined);
  if (there?.isDirectory() !== true) return;
  await using from = await openTargetDirectory(dir, parts);
  for (const entry of await readdir(from.at("."), { withFileTypes: true })) {
    const { name } = entry;
    const inner = [...parts, name];
    if (old.files.has(inner.join("/")) || name.startsWith(ownPrefix)) continue;
    // The markers of other models are theirs.
    if (
      name === markerDirectory &&
      (old.marked.has(parts.join("/")) || (await isThere(root, inner)))
    )
      continue;
    if (entry.isDirectory()) {
      const isEmpty = (await readdir(join(from.at(name)))).length === 0;
      if (isEmpty) await (await openTargetDirectory(root, inner)).close();
      else await carryOver(dir, root, inner, old);
      continue;
    }
    await using to = await openTargetDirectory(root, parts);
    const isNew = (await lstat(to.at(name)).catch(() => undefined)) !== undefined;
    // With --force a file of the model takes the place of another one.
    if (isNew) continue;
    const shown = join(from.path, name);
    try {
      if (entry.isSymbolicLink()) await symlink(await readlink(from.at(name)), to.at(name));
      else if (entry.isFile()) await link(from.at(name), to.at(name));
      else
        throw new OcibundleError("conflict", `"${shown}" is not a regular file`, { hint: moveIt });
    } catch (error) {
      if (error instanceof OcibundleError) throw error;
      throw new OcibundleError("conflict", `"${shown}" is in the directory of the weights`, {
        hint: moveIt,
        cause: error,
      });
    }
  }
}

const isThere = (root: string, parts: readonly string[]): Promise<boolean> =>
  lstat(join(root, ...parts)).then(
    () => true,
    () => false,
  );

const moveIt = "move it to another directory: --sync replaces directories of weights as a whole";
