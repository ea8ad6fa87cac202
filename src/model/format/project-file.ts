import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import { openObject } from "../../oci/open-schemas.ts";
import { type LayoutName, parseLayout } from "./layout-name.ts";
import { checkDest } from "./weight-dest.ts";
import { isSourceUri } from "./source-uri.ts";
import { parseYaml } from "./yaml.ts";

/** A directory or file of weights, and which of its files are meant. */
export interface ProjectSource {
  /** Path, relative to the project file's directory unless absolute; or `hf://ORG/MODEL[@REV][/PATH]`. */
  path: string;
  /** Patterns as in .gitignore; what matches no `include` (if there are some) or an `exclude` is left out. */
  include: readonly string[];
  exclude: readonly string[];
}

/** An entry of `weights` in the project file. */
export interface ProjectWeight {
  /** Of the file; for a directory, what the names of its files start with. From the path otherwise. */
  name?: string | undefined;
  /** One or more; of files with one dest the last source's is taken. */
  sources: ProjectSource[];
  /** The dest of the file, or of the directory's files together. */
  target: string;
  /** Patterns for all sources, besides their own. */
  include: readonly string[];
  exclude: readonly string[];
}

/** What a project file says that is used here (docs/format.md); all else in it is Cog's. */
export interface ProjectFile {
  /** The reference that `push` writes when it is given none. */
  image?: string | undefined;
  weights: ProjectWeight[];
  /** What the weights are written as. Not of Cog's file, whose members are Cog's. */
  layout?: LayoutName | undefined;
}

const TextSchema = v.pipe(v.string("must be a string"), v.minLength(1, "must not be empty"));

/** Refuses members that are not known: one that is ignored could change what is pushed. */
const onlyMembers = <T extends object>(known: readonly string[]) =>
  v.rawCheck<T>(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    for (const [key, value] of Object.entries(dataset.value)) {
      if (known.includes(key) || value === null || value === undefined) continue;
      addIssue({
        message: `unknown member ${JSON.stringify(key)}, expected one of ${known.join(", ")}`,
      });
    }
  });

/**
 * The path that a source's text names: a path itself, or a `file://` URI (RFC 8089). The address of a model on a hub
 * stays as it is.
 */
const PathSchema = v.pipe(
  TextSchema,
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const text = dataset.value;
    const [, scheme, rest = text] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(text) ?? [];
    if (scheme === undefined || isSourceUri(text)) return text;
    const path = scheme.toLowerCase() === "file" ? decodePath(rest) : undefined;
    if (path !== undefined && path !== "") return path;
    addIssue({
      message: `${JSON.stringify(text)} is not a path, a "file://" URI or a source such as "hf://ORG/MODEL"`,
    });
    return NEVER;
  }),
);

// Cog's rules: no "!", which only an order of patterns gives a meaning, and no escapes.
const PatternSchema = v.pipe(
  TextSchema,
  v.regex(/^[^!\\][^\\]*$/, 'must not start with "!" or have a backslash'),
  v.check((pattern) => pattern.trim() !== "", "must not be empty"),
);

const PatternsSchema = v.nullish(v.array(PatternSchema, "must be a list of patterns"));

const SourceObjectSchema = v.pipe(
  openObject({ uri: PathSchema, include: PatternsSchema, exclude: PatternsSchema }),
  onlyMembers(["uri", "include", "exclude"]),
  v.transform(({ uri, include, exclude }) => ({
    path: uri,
    include: include ?? [],
    exclude: exclude ?? [],
  })),
);

const PlainSourceSchema = v.pipe(
  PathSchema,
  v.transform((path): ProjectSource => ({ path, include: [], exclude: [] })),
);

const isText = (input: unknown): boolean => typeof input === "string";

const OneSourceSchema = v.lazy((input) => (isText(input) ? PlainSourceSchema : SourceObjectSchema));

const ManySourcesSchema = v.pipe(
  v.array(OneSourceSchema),
  v.minLength(1, "must have at least one source"),
);

const SourceSchema = v.pipe(
  v.custom<unknown>(
    (input) =>
      input !== undefined && (isText(input) || (typeof input === "object" && input !== null)),
    "must be a path, {uri, include, exclude}, or a list of them",
  ),
  v.lazy((input) => (Array.isArray(input) ? ManySourcesSchema : OneSourceSchema)),
  v.transform((sources): ProjectSource[] => (Array.isArray(sources) ? sources : [sources])),
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

const WeightSchema = v.pipe(
  openObject(
    {
      name: v.nullish(TextSchema),
      source: SourceSchema,
      target: TargetSchema,
      include: PatternsSchema,
      exclude: PatternsSchema,
    },
    "must have a source and a target",
  ),
  onlyMembers(["name", "source", "target", "include", "exclude"]),
);

const ProjectSchema = v.pipe(
  v.custom<object>(
    (input) => typeof input === "object" && input !== null && !Array.isArray(input),
    "must be a mapping",
  ),
  v.object({
    image: v.nullish(TextSchema),
    weights: v.nullish(v.array(WeightSchema, "must be a list")),
    layout: v.nullish(v.unknown()),
  }),
);

/** Reads a project file; `on` names it in messages. Throws `file` with the path of the first fault. */
export function parseProjectFile(bytes: Uint8Array, on: string): ProjectFile {
  const document = parseYaml(bytes, on);
  const result = v.safeParse(ProjectSchema, document);
  if (!result.success) {
    const [issue] = result.issues;
    const path = v.getDotPath(issue);
    const fault = issue.received === "undefined" ? "is missing" : issue.message;
    throw new OcibundleError("file", `${on}: ${path === null ? "" : `${path}: `}${fault}`);
  }
  if (!on.endsWith("cog.yaml")) checkMembers(document as object, on);
  const { image, weights, layout } = result.output;
  return {
    image: image ?? undefined,
    layout: on.endsWith("cog.yaml") ? undefined : layoutOf(layout, on),
    weights: (weights ?? []).map(({ name, source, target, include, exclude }) => ({
      name: name ?? undefined,
      sources: source,
      target,
      include: include ?? [],
      exclude: exclude ?? [],
    })),
  };
}

/** Throws `file` for what is not the name of a layout. */
function layoutOf(named: unknown, on: string): LayoutName | undefined {
  if (named === undefined || named === null) return undefined;
  const text = typeof named === "string" ? named : JSON.stringify(named);
  return parseLayout(text, `${on}: layout`, "file");
}

/** Cog's file has members of Cog's. In ours one that is not known is a mistake. Throws `file`. */
function checkMembers(document: object, on: string): void {
  const known = ["image", "weights", "layout"];
  const unknown = Object.keys(document).find(
    (key) => !known.includes(key) && !key.startsWith("x-"),
  );
  if (unknown === undefined) return;
  throw new OcibundleError(
    "file",
    `${on}: unknown member ${JSON.stringify(unknown)}, expected one of ${known.join(", ")}`,
    { hint: 'prefix custom members with "x-"' },
  );
}

/** RFC 8089: a file URI's path has its special characters percent-encoded. */
function decodePath(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
}
