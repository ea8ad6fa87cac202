import { readFileSync, rmSync } from "node:fs";
import type { Bench, Ended } from "./program-run.ts";

/** System calls that change files or talk to a server: the moments between which a run can be cut. */
export const changingCalls = [
  "open",
  "openat",
  "write",
  "writev",
  "pwrite64",
  "pwritev",
  "copy_file_range",
  "sendfile",
  "ftruncate",
  "fallocate",
  "fsync",
  "fdatasync",
  "rename",
  "renameat",
  "renameat2",
  "link",
  "linkat",
  "symlink",
  "symlinkat",
  "unlink",
  "unlinkat",
  "mkdir",
  "mkdirat",
  "rmdir",
  "fchmod",
  "utimensat",
  "connect",
  "sendto",
  "recvfrom",
] as const;

/** The errors that a file system may answer these calls with. */
export const fileSystemErrors: Readonly<Record<string, readonly string[]>> = {
  pwrite64: ["ENOSPC", "EIO"],
  pwritev: ["ENOSPC", "EIO"],
  ftruncate: ["ENOSPC", "EFBIG"],
  fsync: ["EIO", "ENOSPC"],
  rename: ["ENOSPC", "EIO", "EROFS"],
  link: ["EPERM", "EMLINK", "EXDEV"],
  unlink: ["EIO", "EROFS"],
  mkdir: ["ENOSPC", "EDQUOT"],
  rmdir: ["EBUSY"],
  fchmod: ["EPERM"],
  utimensat: ["EPERM"],
};

/** Whether this machine has the program that the attacks are made with. */
export const hasStrace = Bun.which("strace") !== null;

const strace = (...args: string[]): string[] => ["strace", "-f", "-qq", ...args];

/** Runs the program, and resolves to how often the thread that made most of each call made it. */
export async function countCalls(
  bench: Bench,
  names: readonly string[],
  args: readonly string[],
): Promise<{ calls: { name: string; count: number }[]; ended: Ended }> {
  const log = `${bench.directory}.strace`;
  // A name that this machine's kernel does not have is left out by the question mark.
  const traced = names.map((name) => `?${name}`).join(",");
  const ended = await bench.runUnder(strace("-o", log, "-e", `trace=${traced}`), args);
  const byThread = new Map<string, number>();
  for (const line of readFileSync(log, "utf8").split("\n")) {
    const [, thread, name] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    if (thread === undefined || name === undefined) continue;
    const key = `${name} ${thread}`;
    byThread.set(key, (byThread.get(key) ?? 0) + 1);
  }
  rmSync(log);
  const most = new Map<string, number>();
  for (const [key, count] of byThread) {
    const [name = ""] = key.split(" ");
    most.set(name, Math.max(count, most.get(name) ?? 0));
  }
  return { calls: [...most].map(([name, count]) => ({ name, count })), ended };
}

/** Runs the program; `injection` is what strace's inject does to a call, such as `fsync:error=EIO:when=3`. */
export function runInjected(
  bench: Bench,
  injection: string,
  args: readonly string[],
): Promise<Ended> {
  const [name] = injection.split(":");
  const flags = ["-o", "/dev/null", "-e", `trace=${name}`, "-e", `inject=${injection}`];
  return bench.runUnder(strace(...flags), args);
}
