import { lstat } from "node:fs/promises";
import { hasBytesOf } from "../../store/cache/entry.ts";
import { errno, OcibundleError } from "../../errors.ts";
import type { WeightEntry } from "../format/weight-entry.ts";

/**
 * Places a file. Where its name is taken, another pull may have been first: that is no failure when the file
 * there has the right content. Says whether it was placed. Throws what `place` throws.
 */
export async function placeUnlessThere<T>(
  path: string,
  { digestOriginal, sizeUncompressed }: WeightEntry,
  signal: AbortSignal,
  place: () => Promise<T>,
): Promise<T | "there"> {
  try {
    return await place();
  } catch (error) {
    const isTaken = error instanceof OcibundleError && errno(error.cause) === "EEXIST";
    if (!isTaken) throw error;
    const stats = await lstat(path).catch(() => undefined);
    if (stats?.isFile() !== true || stats.size !== sizeUncompressed) throw error;
    if (!(await hasBytesOf(digestOriginal, path, sizeUncompressed, signal))) throw error;
    return "there";
  }
}
