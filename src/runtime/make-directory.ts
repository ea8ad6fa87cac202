import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { errno } from "../errors.ts";
import { directoryMode } from "./own-file.ts";

/** Runs `make`, and once more with the file's directory made first where that was missing. Throws errno errors. */
export function withDirectorySync<Made>(path: string, make: () => Made): Made {
  try {
    return make();
  } catch (error) {
    if (errno(error) !== "ENOENT") throw error;
    mkdirSync(dirname(path), { recursive: true, mode: directoryMode });
    return make();
  }
}
