import { constants } from "node:fs";
import { open, stat } from "node:fs/promises";
import { errno } from "../errors.ts";

/**
 * Whether a path leads to a device, a FIFO or a socket: nothing is renamed over it. Throws errno errors other
 * than those of a path that leads nowhere.
 */
export async function isSpecial(path: string): Promise<boolean> {
  try {
    const stats = await stat(path);
    return !stats.isFile() && !stats.isDirectory();
  } catch (error) {
    if (leadsNowhere.has(errno(error) ?? "")) return false;
    throw error;
  }
}

const leadsNowhere: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"]);

/** Writes to a device or a FIFO that the user named, as a shell's `>` does. Throws errno errors. */
export async function writeToSpecial(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_APPEND);
  try {
    await file.writeFile(bytes);
  } finally {
    await file.close();
  }
}
