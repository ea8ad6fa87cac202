import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { unwritable } from "../store/verified-write.ts";

/** A folder for what is only needed while an image is open; made when the first file is. */
export interface TempFolder {
  /** The path of a new file, which does not exist yet. Throws `file` when the folder can't be made. */
  newFile(): Promise<string>;
  /** Removes the folder with all that is in it. Never throws. */
  remove(): Promise<void>;
}

/** A temporary folder below `parent`, which is made where it is missing. */
export function tempFolder(parent: string): TempFolder {
  let folder: Promise<string> | undefined;
  let files = 0;
  const make = async (): Promise<string> => {
    try {
      await mkdir(parent, { recursive: true });
      return await mkdtemp(join(parent, "ocibundle-image-"));
    } catch (error) {
      throw unwritable(parent, error);
    }
  };
  return {
    async newFile() {
      folder ??= make();
      files += 1;
      return join(await folder, String(files));
    },
    async remove() {
      const made = await folder?.catch(() => undefined);
      if (made !== undefined) {
        await rm(made, { recursive: true, force: true }).catch(() => undefined);
      }
    },
  };
}
