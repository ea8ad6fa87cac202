import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { errno, OcibundleError } from "../../errors.ts";
import { checkDest } from "./weight-dest.ts";
import { parseYaml } from "./yaml.ts";

/** The names a project file may have, the first one found wins. */
const projectFileNames = ["ocibundle.yaml", "cog.yaml"] as const;

export interface ProjectWeight {
  /** Of the file; for a folder, what the names of its files start with. From the path otherwise. */
  name?: string | undefined;
  /** Path of a file or folder, relative to the project file's folder unless absolute. */
  source: string;
  /** The dest of the file, or of the folder's files together. */
  target: string;
}

/** What a project file says that is used here (docs/format.md); all else in it is Cog's. */
export interface ProjectFile {
  /** The reference that `push` writes when it is given none. */
  image?: string | undefined;
  weights: ProjectWeight[];
}

const TextSchema = v.pipe(v.string("must be a text"), v.minLength(1, "must not be empty"));

const SourceSchema = v.pipe(
  v.union(
    [TextSchema, v.object({ uri: TextSchema })],
    'must be a path or {uri: "file://…"}, and not empty',
  ),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const text = typeof dataset.value === "string" ? dataset.value : dataset.value.uri;
    const [, scheme, rest = text] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(text) ?? [];
    if (scheme === undefined) {
      if (typeof dataset.value === "string") return text;
      addIssue({ message: `${JSON.stringify(text)} is not a URI that starts with "file://"` });
      return NEVER;
    }
    const path = scheme.toLowerCase() === "file" ? decodePath(rest) : undefined;
    if (path !== undefined && path !== "") return path;
    addIssue({ message: `${JSON.stringify(text)} is not a file: only "file://" URIs are read` });
    return NEVER;
  }),
);

const TargetSchema = v.pipe(
  TextSchema,
  v.transform((target) => target.replace(/(?<=[^/])\/+$/, "")),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed || dataset.value === "/") return;
    const fault = checkDest(dataset.value);
    if (fault !== undefined) addIssue({ message: fault });
  }),
);

const ProjectSchema = v.pipe(
  v.custom<object>(
    (input) => typeof input === "object" && input !== null && !Array.isArray(input),
    "must be a mapping",
  ),
  v.object({
    image: v.nullish(TextSchema),
    weights: v.nullish(
      v.array(
        v.object(
          { name: v.nullish(TextSchema), source: SourceSchema, target: TargetSchema },
          "must have a source and a target",
        ),
        "must be a list",
      ),
    ),
  }),
);

/** Reads a project file; `on` names it in messages. Throws `file` with the path of the first fault. */
export function parseProjectFile(bytes: Uint8Array, on: string): ProjectFile {
  const result = v.safeParse(ProjectSchema, parseYaml(bytes, on));
  if (!result.success) {
    const [issue] = result.issues;
    const path = v.getDotPath(issue);
    const fault = issue.received === "undefined" ? "is missing" : issue.message;
    throw new OcibundleError("file", `${on}: ${path === null ? "" : `${path}: `}${fault}`);
  }
  const { image, weights } = result.output;
  return {
    image: image ?? undefined,
    weights: (weights ?? []).map(({ name, source, target }) => ({
      name: name ?? undefined,
      source,
      target,
    })),
  };
}

/** The project file of a folder with its path, or undefined when it has none. Throws `file`. */
export async function readProjectFile(
  folder: string,
): Promise<{ path: string; project: ProjectFile } | undefined> {
  for (const name of projectFileNames) {
    const path = join(folder, name);
    try {
      return { path, project: parseProjectFile(await readFile(path), name) };
    } catch (cause) {
      if (errno(cause) === "ENOENT") continue;
      if (cause instanceof OcibundleError) throw cause;
      throw new OcibundleError("file", `the project file "${path}" can't be read`, { cause });
    }
  }
  return undefined;
}

/** The reference that a folder's project file has as `image`. Throws `usage` when there is none. */
export async function projectImage(folder: string): Promise<string> {
  const found = await readProjectFile(folder);
  if (found?.project.image !== undefined) return found.project.image;
  const lack =
    found === undefined ? "there is no project file" : `"${found.path}" has no "image" in it`;
  throw new OcibundleError("usage", `no reference is given, and ${lack}`, {
    hint: `name where to, as registry.example.com/name:tag, or set "image" in ${projectFileNames[0]}`,
  });
}

/** RFC 8089: a file URI's path has its special characters percent-encoded. */
function decodePath(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
}
