import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { openTargetFolder, type TargetFolder } from "../../store/placement/target-folder.ts";
import { readableMode, readOwnFile, replaceFile } from "../../runtime/own-file.ts";
import { unwritable } from "../../store/verified-write.ts";

/** The folder beside the weights in which `pull` says how far it is (docs/pull.md). */
export const markerFolder = ".cog";

const states = ["downloading", "ready", "failed"] as const;
type State = (typeof states)[number];

/** What a process that waits for the weights looks at. Each marker appears whole, and only one at a time stays. */
export interface Markers {
  /** The folder they are in. */
  readonly path: string;
  /** The digest that the weights are ready with, as an earlier run that came to its end has left it. */
  ready(): Promise<string | undefined>;
  /** Says that the weights are being fetched; takes back what was said before. */
  downloading(digest: string): Promise<void>;
  /** Says that every file is there, flushed. */
  done(digest: string): Promise<void>;
  /** Says that they will not come, and why. Never throws: the failure itself is what counts. */
  failed(message: string): Promise<void>;
  close(): Promise<void>;
}

/** Opens the marker folder in the folder that all dests have in common. Throws `file`, `denied`. */
export async function openMarkers(
  root: string,
  dests: readonly (readonly string[])[],
): Promise<Markers> {
  const folder = await openTargetFolder(root, [...commonFolder(dests), markerFolder]);
  const change = async (state: State, text: string): Promise<void> => {
    try {
      await write(folder, state, text);
      for (const other of states) {
        if (other !== state) await rm(folder.at(other), { force: true });
        // What a run that was killed while it wrote has left.
        await rm(folder.at(temporary(other)), { force: true });
      }
      await folder.sync();
    } catch (error) {
      throw unwritable(join(folder.path, state), error);
    }
  };
  return {
    path: folder.path,
    async ready() {
      const names = await readdir(folder.at("."));
      // With another beside it, a run was killed before it had taken that back.
      if (names.some((name) => name !== "ready" && isMarker(name))) return undefined;
      return readMarker(folder.at("ready"));
    },
    downloading: (digest) => change("downloading", digest),
    done: (digest) => change("ready", digest),
    async failed(message) {
      try {
        await change("failed", message);
      } catch {
        // A full or vanished disk is what most likely failed in the first place.
      }
    },
    close: () => folder.close(),
  };
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

const temporary = (state: State): string => `${state}.tmp`;

const isMarker = (name: string): boolean =>
  states.some((state) => name === state || name === temporary(state));

async function write(folder: TargetFolder, state: State, text: string): Promise<void> {
  const path = folder.at(temporary(state));
  try {
    const file = await replaceFile(path, readableMode);
    try {
      await file.writeFile(`${text}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(path, folder.at(state));
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
  await folder.sync();
}

/** The deepest folder that all files lie below. */
function commonFolder(files: readonly (readonly string[])[]): string[] {
  const [first = [], ...others] = files.map((parts) => parts.slice(0, -1));
  const differs = first.findIndex((part, index) => others.some((parts) => parts[index] !== part));
  return first.slice(0, differs === -1 ? first.length : differs);
}
