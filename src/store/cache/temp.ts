import { mkdir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { directoryMode } from "../../runtime/own-file.ts";
import {
  imageTempPrefix,
  type OwnedTemp,
  ownTemp,
  sweepOwnedTemps,
  type TempPlace,
} from "../locks/owned-temp.ts";

/** Temporary files of one process, in a directory of its own that a lock shows to be in use. */
export interface TempFiles {
  /** A new path; its directory is made. Give it back with `done`. */
  path(name: string): Promise<string>;
  /** The file was moved away or is to be removed. The last one takes the directory with it. */
  done(path: string): Promise<void>;
  /** Keeps the directory, once it is made, until what is returned is called: for many files one by one. */
  hold(): () => Promise<void>;
}

interface Run {
  directory: OwnedTemp;
  /** Resolves when the directory is made. */
  ready: Promise<unknown>;
  paths: Set<string>;
}

const runsIn = (temp: string, locks: string): TempPlace => ({
  directory: temp,
  prefix: "run-",
  suffix: "",
  locks,
});

/** Temporary files below `temp`, with their locks in `locks`; both directories must exist by the first use. */
export function openTempFiles(temp: string, locks: string): TempFiles {
  let run: Run | undefined;
  let holds = 0;
  const endIfUnused = async (): Promise<void> => {
    const current = run;
    if (current === undefined || holds > 0 || current.paths.size > 0) return;
    run = undefined;
    // What lies there still is nobody's: then the directory stays until it is swept.
    await rmdir(current.directory.path).catch(() => undefined);
    current.directory.release();
  };
  const start = (): Run => {
    // Locked before it is there, so that it is never seen without its owner.
    const directory = ownTemp(runsIn(temp, locks));
    const ready = mkdir(directory.path, { mode: directoryMode });
    return { directory, ready, paths: new Set() };
  };
  return {
    async path(name) {
      const current = (run ??= start());
      const path = join(current.directory.path, `${name}-${crypto.randomUUID()}.tmp`);
      current.paths.add(path);
      try {
        await current.ready;
      } catch (error) {
        if (run === current) run = undefined;
        current.directory.release();
        throw error;
      }
      return path;
    },
    async done(path) {
      await rm(path, { force: true });
      if (run?.paths.delete(path) === true) await endIfUnused();
    },
    hold() {
      holds += 1;
      return async () => {
        holds -= 1;
        await endIfUnused();
      };
    },
  };
}

/**
 * Removes the temporary files of processes that have ended, and returns of how many. Where nothing can
 * be locked, nobody can be known to have ended: there, no run's are removed.
 */
export async function sweepTempFiles(temp: string, locks: string): Promise<number> {
  const images: TempPlace = { directory: temp, prefix: imageTempPrefix, suffix: "" };
  return (await sweepOwnedTemps(runsIn(temp, locks))) + (await sweepOwnedTemps(images));
}
