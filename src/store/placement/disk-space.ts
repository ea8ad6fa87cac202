import { stat, statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { OcibundleError, errno } from "../../errors.ts";

/** What will be written where. */
export interface SpaceNeed {
  /** A directory that need not exist yet. */
  path: string;
  /** How many further bytes will be written below it. */
  bytes: number;
}

/** The file system below a path: which, and how many bytes this user may still write, where it says so. */
interface FileSystem {
  device: number;
  free: number | undefined;
}

/**
 * Checks that what a run will write fits, before its first byte: needs on one file system are added up.
 * A file system that does not say how much is free is trusted.
 *
 * Throws `system`, naming the directory, what is needed and what is free.
 */
export async function requireSpace(needs: readonly SpaceNeed[]): Promise<void> {
  const totals = new Map<number, SpaceNeed & { free: number | undefined }>();
  for (const { path, bytes } of needs) {
    const { device, free } = await fileSystemOf(path);
    const before = totals.get(device);
    totals.set(device, { path: before?.path ?? path, bytes: (before?.bytes ?? 0) + bytes, free });
  }
  for (const { path, bytes, free } of totals.values()) {
    if (free === undefined || bytes <= free) continue;
    throw new OcibundleError(
      "system",
      `no space left on the disk of "${path}": ${mebibytes(bytes, Math.ceil)} needed, ${mebibytes(free, Math.floor)} free`,
      { hint: "free up space, run `ocibundle cache prune`, or choose another disk" },
    );
  }
}

/** Whether two paths, which need not exist yet, are on one file system. */
export async function onOneDisk(a: string, b: string): Promise<boolean> {
  const [{ device }, other] = await Promise.all([fileSystemOf(a), fileSystemOf(b)]);
  return device === other.device;
}

/** Rounded away from what would look as if it fitted. */
const mebibytes = (bytes: number, round: (value: number) => number): string =>
  `${round(bytes / 1024 ** 2).toLocaleString("en")} MiB`;

async function fileSystemOf(path: string): Promise<FileSystem> {
  for (let directory = resolve(path); ; directory = dirname(directory)) {
    try {
      const { dev } = await stat(directory);
      const { bavail, bsize, blocks } = await statfs(directory);
      // Some network file systems have no numbers and answer zeros.
      return { device: dev, free: blocks === 0 ? undefined : bavail * bsize };
    } catch (error) {
      const missing = ["ENOENT", "ENOTDIR"].includes(errno(error) ?? "");
      if (!missing || directory === dirname(directory)) return { device: -1, free: undefined };
    }
  }
}
