import { existsSync } from "node:fs";
import { join } from "node:path";
import { errno, OcibundleError } from "../../errors.ts";
import { readDocument } from "../../runtime/read-document.ts";
import type { LayoutName } from "./layout-name.ts";
import { readingCode, unreadableBecause } from "../../runtime/file-faults.ts";
import { type ProjectFile, parseProjectFile } from "./project-file.ts";

/** The names a project file may have, the first one found wins. */
const projectFileNames = ["ocibundle.yaml", "cog.yaml"] as const;

/** A project file that is larger is none, in bytes. */
const maxBytes = 8 * 1024 * 1024;

/** The project file of a directory with its path, or undefined when it has none. Throws `file`, `system`. */
export async function readProjectFile(
  directory: string,
): Promise<{ path: string; project: ProjectFile } | undefined> {
  for (const name of projectFileNames) {
    const path = join(directory, name);
    try {
      return { path, project: parseProjectFile(await readDocument(path, { maxBytes }), name) };
    } catch (cause) {
      if (errno(cause) === "ENOENT") continue;
      if (cause instanceof OcibundleError) throw cause;
      const code = readingCode(cause);
      throw new OcibundleError(code, `the project file "${path}" ${unreadableBecause(cause)}`, {
        cause,
      });
    }
  }
  return undefined;
}

/** The layout that a directory's project file names; Cog's own names none. Throws `file`, `system`. */
export async function projectLayout(directory: string): Promise<LayoutName | undefined> {
  const [name] = projectFileNames;
  if (!existsSync(join(directory, name))) return undefined;
  return (await readProjectFile(directory))?.project.layout;
}

/** The reference that a directory's project file has as `image`. Throws `usage` when there is none. */
export async function projectImage(directory: string): Promise<string> {
  const found = await readProjectFile(directory);
  if (found?.project.image !== undefined) return found.project.image;
  const lack = found === undefined ? "no project file exists" : `"${found.path}" has no "image"`;
  throw new OcibundleError("usage", `no reference was specified and ${lack}`, {
    hint: `add a reference, such as registry.example.com/name:tag, or set "image" in ${projectFileNames[0]}`,
  });
}
