import { $ } from "bun";

/** The commit of the sources at `root`, marked when they were changed since; undefined outside a git checkout. */
export async function commit(root: string): Promise<string | undefined> {
  const head = await $`git rev-parse HEAD`.cwd(root).nothrow().quiet();
  if (head.exitCode !== 0) return undefined;
  const changes = await $`git status --porcelain -- src package.json bun.lock`.cwd(root).quiet();
  return `${head.text().trim()}${changes.text() === "" ? "" : "-modified"}`;
}
