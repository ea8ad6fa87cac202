import { readdir, readFile, stat } from "node:fs/promises";

/**
 * The first process that has one of some files open or mapped, as far as this process may see others: in a
 * container only with the node's process IDs (`hostPID`), and as root or the same user. Linux only.
 */
export async function processThatUses(inodes: ReadonlySet<bigint>): Promise<number | undefined> {
  if (process.platform !== "linux") return undefined;
  for (const name of await readdir("/proc").catch(() => [])) {
    const pid = Number(name);
    if (!Number.isSafeInteger(pid) || pid === process.pid) continue;
    if ((await hasOpen(pid, inodes)) || (await hasMapped(pid, inodes))) return pid;
  }
  return undefined;
}

async function hasOpen(pid: number, inodes: ReadonlySet<bigint>): Promise<boolean> {
  for (const descriptor of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
    const path = `/proc/${pid}/fd/${descriptor}`;
    const stats = await stat(path, { bigint: true }).catch(() => undefined);
    // Another file system may have the same number: then a directory is kept in vain.
    if (stats?.isFile() === true && inodes.has(stats.ino)) return true;
  }
  return false;
}

/** Lines of proc_pid_maps(5): address perms offset dev inode path. */
async function hasMapped(pid: number, inodes: ReadonlySet<bigint>): Promise<boolean> {
  const maps = await readFile(`/proc/${pid}/maps`, "utf8").catch(() => "");
  for (const [, inode = "0"] of maps.matchAll(/^\S+ \S+ \S+ \S+ (\d+)/gm)) {
    if (inode !== "0" && inodes.has(BigInt(inode))) return true;
  }
  return false;
}
