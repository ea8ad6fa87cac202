import { stat } from "node:fs/promises";
import { OcibundleError, errno } from "../../errors.ts";
import { type LayoutReader, layoutReader } from "./reader.ts";
import { directoryFiles } from "./directory-files.ts";

/** Opens a layout directory for reading. Throws `file` for one that is missing or no layout. */
export async function openLayout(
  directory: string,
  name = `oci:${directory}`,
  warn?: (message: string) => void,
): Promise<LayoutReader> {
  const found = await kindOf(directory);
  if (found === undefined) {
    throw new OcibundleError("file", `${name}: no such directory`, {
      hint: "check the path of the layout",
    });
  }
  if (found === "other") {
    throw new OcibundleError("file", `${name}: not a directory`, {
      hint: `use "oci-archive:${directory}" for an archive`,
    });
  }
  return layoutReader(directoryFiles(directory, name), warn);
}

async function kindOf(path: string): Promise<"directory" | "other" | undefined> {
  try {
    return (await stat(path)).isDirectory() ? "directory" : "other";
  } catch (error) {
    if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR") return undefined;
    throw error;
  }
}
