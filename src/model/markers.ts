import { open, readFile, rename, rm } from "node:fs/promises";
import { openTargetFolder, type TargetFolder } from "../store/target-folder.ts";

/** The folder beside the weights in which `pull` says how far it is (docs/pull.md). */
export const markerFolder = ".cog";

type State = "downloading" | "ready" | "failed";

/** What a process that waits for the weights looks at. Each marker appears whole, and only one at a time stays. */
export interface Markers {
  /** The digest that the weights are ready with, as an earlier run has left it. */
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
  const remove = (state: State) => rm(folder.at(state), { force: true });
  return {
    async ready() {
      const text = await readFile(folder.at("ready"), "utf8").catch(() => undefined);
      return text?.trim();
    },
    async downloading(digest) {
      await write(folder, "downloading", digest);
      await Promise.all([remove("ready"), remove("failed")]);
      await folder.sync();
    },
    async done(digest) {
      await write(folder, "ready", digest);
      await Promise.all([remove("downloading"), remove("failed")]);
    },
    async failed(message) {
      try {
        await write(folder, "failed", message);
        await remove("downloading");
      } catch {
        // A full or vanished disk is what most likely failed in the first place.
      }
    },
    close: () => folder.close(),
  };
}

async function write(folder: TargetFolder, state: State, text: string): Promise<void> {
  const temporary = folder.at(`${state}.${process.pid}.tmp`);
  try {
    const file = await open(temporary, "w", 0o644);
    try {
      await file.writeFile(`${text}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, folder.at(state));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await folder.sync();
}

/** The deepest folder that all files lie below. */
export function commonFolder(files: readonly (readonly string[])[]): string[] {
  const [first = [], ...others] = files.map((parts) => parts.slice(0, -1));
  const differs = first.findIndex((part, index) => others.some((parts) => parts[index] !== part));
  return first.slice(0, differs === -1 ? first.length : differs);
}
