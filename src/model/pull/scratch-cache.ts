import { mkdir, rm } from "node:fs/promises";
import { unwritable } from "../../runtime/file-faults.ts";
import { type Cache, cacheAt } from "../../store/cache/cache.ts";
import { ownTemp, sweepOwnedTemps, type TempPlace } from "../../store/locks/owned-temp.ts";
import { scratchPrefix } from "../../store/cache/directory.ts";

/** A cache that lives as long as one run, below the directory that is pulled into. */
export interface ScratchCache {
  cache: Cache;
  remove(): Promise<void>;
}

const placeIn = (directory: string): TempPlace => ({
  directory,
  prefix: scratchPrefix,
  suffix: "",
});

/** Opens one in a directory, which is made. A lock shows that it is in use. Throws `file`, `system`. */
export async function openScratch(directory: string): Promise<ScratchCache> {
  try {
    await mkdir(directory, { recursive: true });
    const temp = ownTemp(placeIn(directory));
    return {
      cache: cacheAt(temp.path),
      async remove() {
        await rm(temp.path, { recursive: true, force: true });
        temp.release();
      },
    };
  } catch (error) {
    throw unwritable(directory, error);
  }
}

/** Removes those of runs that were killed. Never throws. */
export const sweepScratch = (directory: string): Promise<number> =>
  sweepOwnedTemps(placeIn(directory));
