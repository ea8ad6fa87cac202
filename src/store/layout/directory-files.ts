import { stat } from "node:fs/promises";
import { join } from "node:path";
import { errno } from "../../errors.ts";
import type { LayoutFiles } from "./reader.ts";

/** The files of a layout directory. `name` is for messages. */
export function directoryFiles(directory: string, name: string): LayoutFiles {
  return {
    name,
    async locate(file) {
      const path = join(directory, ...file.split("/"));
      try {
        const found = await stat(path);
        return found.isFile() ? { path, offset: 0, size: found.size } : undefined;
      } catch (error) {
        if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR") return undefined;
        throw error;
      }
    },
  };
}
