import type { FileHandle } from "node:fs/promises";
import { OcibundleError } from "../../errors.ts";
import { layoutFileName } from "../layout/documents.ts";
import type { Replaceable } from "../output-file.ts";
import { tarEntries } from "./entries.ts";
import { fileTarSource } from "./source.ts";

/**
 * What a new archive may take the place of: an archive of an image layout, from whatever program. One that was
 * cut off after its marker file is one as well. A compressed one is none: what is in it is not looked at.
 */
export const layoutArchive: Replaceable = {
  what: "an OCI archive",
  async isOne(file: FileHandle, size: number): Promise<boolean> {
    try {
      for await (const { type, name } of tarEntries(fileTarSource(file, size), "it")) {
        if (type === "file" && name === layoutFileName) return true;
      }
    } catch (error) {
      if (!(error instanceof OcibundleError)) throw error;
    }
    return false;
  },
};
