import { Buffer } from "node:buffer";
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import process from "node:process";

/**
 * Which files of this program's own are believed, and how they are read. Whoever may write to their directory can
 * put anything under their names.
 */

const { O_RDONLY } = constants;
/** Not on Windows, where neither links nor FIFOs come about this way. */
const { O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants as Partial<typeof constants>;

/** The permissions of a mode by which others than the owner write. */
export const othersMayWrite = 0o022;

/** The user whose files this process makes; undefined where the system has no such number. */
export const user = (): number | undefined => process.geteuid?.();

/**
 * Whether only this user or root can have written a regular file: the owner is one of them, and nobody
 * else has permission to write it. What another user wrote is not believed.
 */
export function isTrusted(stats: Pick<Stats, "uid" | "mode">): boolean {
  const self = user();
  if (self === undefined) return true;
  return (stats.uid === self || stats.uid === 0) && (stats.mode & othersMayWrite) === 0;
}

/** Which files are read. */
export interface ReadLimits {
  /** In bytes; larger files are not read. */
  maxBytes: number;
  /** Whether a file that another user can have written is read as well. */
  ofAnyone?: boolean;
}

/**
 * The bytes of a small regular file; undefined for anything else under that name, for a file that is too
 * large, and unless told otherwise for one that is not trusted. Throws errno errors.
 */
export function readOwnFile(path: string, limits: ReadLimits): Uint8Array | undefined {
  const file = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const stats = fstatSync(file);
    if (!stats.isFile() || stats.size > limits.maxBytes) return undefined;
    if (limits.ofAnyone !== true && !isTrusted(stats)) return undefined;
    const bytes = Buffer.allocUnsafe(stats.size);
    let filled = 0;
    while (filled < bytes.length) {
      const read = readSync(file, bytes, filled, bytes.length - filled, filled);
      if (read === 0) break;
      filled += read;
    }
    return bytes.subarray(0, filled);
  } finally {
    closeSync(file);
  }
}
