import { randomUUID } from "node:crypto";
import { lstat, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  openTargetDirectory,
  type TargetDirectory,
} from "../../store/placement/target-directory.ts";
import { readOwnFile } from "../../runtime/trusted-file.ts";
import { markerDirectory } from "../../store/placement/dest-rule.ts";
import { unwritable } from "../../runtime/file-faults.ts";
import { writeFlushed } from "../../runtime/write-flushed.ts";

const states = ["downloading", "ready", "failed"] as const;
type State = (typeof states)[number];

/** What a process that waits for the weights looks at. Each marker appears whole, and only one at a time stays. */
export interface Markers {
  /** The directory they are in. */
  readonly path: string;
  /** Makes the directory, if that was not done, and returns its path. Throws `conflict`, `system`. */
  make(): Promise<string>;
  /** Says that no other process writes here at the same time: what killed runs have left is removed then. */
  alone(): void;
  /** The digest that the weights are ready with, as an earlier run that came to its end has left it. */
  ready(): Promise<string | undefined>;
  /** Says that the weights are being fetched; takes back what was said before. */
  downloading(digest: string): Promise<void>;
  /** Says that every file is there, flushed. */
  done(digest: string): Promise<void>;
  /**
   * Says that they will not come, and why; false where nothing was made or said here before. Never throws:
   * the failure itself is what counts.
   */
  failed(message: string): Promise<boolean>;
  close(): Promise<void>;
}

/** The directory of a weight that has markers of its own, below the directory that is pulled into. */
export interface MarkedTarget {
  parts: readonly string[];
  /** Of the weight's manifest. */
  digest: string;
}

/**
 * The markers in the directory that all dests and targets have in common, and those of each target. Nothing is
 * made before there is something to say: dests can lie thousands of directories deep, and a plan that fails
 * leaves none of them.
 */
export function openMarkers(
  root: string,
  dests: readonly (readonly string[])[],
  targets: readonly MarkedTarget[] = [],
): Markers {
  const common = commonDirectory([...dests, ...targets.map(({ parts }) => [...parts, ""])]);
  const main = markersIn(root, common);
  const below = targets.filter(({ parts }) => parts.length > common.length);
  if (below.length === 0) return main;
  const each = below.map(({ parts, digest }) => ({ digest, markers: markersIn(root, parts) }));
  return {
    ...main,
    alone() {
      main.alone();
      for (const { markers } of each) markers.alone();
    },
    async ready() {
      for (const { digest, markers } of each) {
        if ((await markers.ready()) !== digest) return undefined;
      }
      return main.ready();
    },
    async downloading(digest) {
      await main.downloading(digest);
      for (const one of each) await one.markers.downloading(one.digest);
    },
    async done(digest) {
      for (const one of each) await one.markers.done(one.digest);
      await main.done(digest);
    },
    async failed(message) {
      for (const { markers } of each) await markers.failed(message);
      return main.failed(message);
    },
    async close() {
      for (const { markers } of each) await markers.close();
      await main.close();
    },
  };
}

/** The markers of one directory. */
function markersIn(root: string, directoryParts: readonly string[]): Markers {
  const parts = [...directoryParts, markerDirectory];
  const markerPath = join(root, ...parts);
  let opened: Promise<TargetDirectory> | undefined;
  const open = (): Promise<TargetDirectory> => (opened ??= openTargetDirectory(root, parts));
  let isAlone = false;
  const change = async (state: State, text: string): Promise<void> => {
    const directory = await open();
    try {
      await write(
        directory,
        state,
        isAlone ? `${state}.tmp` : `${state}-${randomUUID()}.tmp`,
        text,
      );
      for (const other of states) {
        if (other !== state) await rm(directory.at(other), { force: true });
      }
      await removeTemporaries(directory, isAlone ? Infinity : Date.now() - lifetime);
      await directory.sync();
    } catch (error) {
      throw unwritable(join(directory.path, state), error);
    }
  };
  /** On a full disk another name is all that there is room for: who waits must not wait for what will not come. */
  const renameMarker = async (): Promise<boolean> => {
    try {
      const directory = await opened;
      if (directory === undefined) return false;
      await rename(directory.at("downloading"), directory.at("failed"));
      return true;
    } catch {
      return false;
    }
  };
  return {
    path: markerPath,
    make: async () => (await open()).path,
    alone() {
      isAlone = true;
    },
    async ready() {
      return readReady((await open()).at("."));
    },
    downloading: (digest) => change("downloading", digest),
    done: (digest) => change("ready", digest),
    async failed(message) {
      try {
        const isThere = opened !== undefined || (await lstat(markerPath)).isDirectory();
        if (isThere) await change("failed", message);
        return isThere;
      } catch {
        // A full or vanished disk is what most likely failed in the first place; or nothing is there.
        return renameMarker();
      }
    },
    async close() {
      await (await opened?.catch(() => undefined))?.close();
    },
  };
}

async function readReady(path: string): Promise<string | undefined> {
  const names = await readdir(path);
  // With another beside it, a run was killed before it had taken that back.
  if (names.some((name) => name !== "ready" && isMarker(name))) return undefined;
  return readMarker(join(path, "ready"));
}

/** The digest that markers say is ready, where there are any: a look that makes nothing. */
export const lookAtReady = ({ path }: Markers): Promise<string | undefined> =>
  readReady(path).catch(() => undefined);

/**
 * Says that a version took the place of another, where nothing says it yet. By markers of their own: the directory that
 * others have open may be gone with the old version.
 */
export async function markReplaced(markers: Markers, digest: string): Promise<void> {
  try {
    markers.alone();
    if ((await markers.ready()) !== digest) await markers.done(digest);
  } finally {
    await markers.close();
  }
}

/** More than any digest has, in bytes. */
const maxMarkerBytes = 1024;

function readMarker(path: string): string | undefined {
  try {
    const bytes = readOwnFile(path, { maxBytes: maxMarkerBytes, ofAnyone: true });
    return bytes && new TextDecoder().decode(bytes).trim();
  } catch {
    return undefined;
  }
}

const isTemporary = (name: string): boolean =>
  name.endsWith(".tmp") && states.some((state) => name.startsWith(state));

const isMarker = (name: string): boolean =>
  states.some((state) => name === state) || isTemporary(name);

/** Where others may write at the same time, what is older than this is a killed run's, in milliseconds. */
const lifetime = 24 * 60 * 60 * 1000;

/** Removes what killed runs have left: what was written before a time, in milliseconds since 1970. */
async function removeTemporaries(directory: TargetDirectory, before: number): Promise<void> {
  for (const name of await readdir(directory.at("."))) {
    if (!isTemporary(name)) continue;
    const stats = await lstat(directory.at(name)).catch(() => undefined);
    if (stats !== undefined && stats.mtimeMs < before)
      await rm(directory.at(name), { force: true });
  }
}

async function write(
  directory: TargetDirectory,
  state: State,
  temporary: string,
  text: string,
): Promise<void> {
  const path = directory.at(temporary);
  try {
    await writeFlushed(path, `${text}\n`);
    await rename(path, directory.at(state));
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
  await directory.sync();
}

/** The deepest directory that all files lie below. */
export function commonDirectory(files: readonly (readonly string[])[]): string[] {
  const [first = [], ...others] = files.map((parts) => parts.slice(0, -1));
  const differs = first.findIndex((part, index) => others.some((parts) => parts[index] !== part));
  return first.slice(0, differs === -1 ? first.length : differs);
}
