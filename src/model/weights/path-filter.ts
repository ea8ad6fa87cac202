import { join } from "node:path";
import ignore from "ignore";
import { OcibundleError } from "../../errors.ts";
import { readDocument } from "../../runtime/read-document.ts";
import { quoted } from "../format/weight-entry.ts";
import { unreadable } from "./file-errors.ts";
import { isMissing } from "../../runtime/file-faults.ts";

/** Patterns as in a .gitignore file (gitignore(5)), matched against paths below a given directory. */
export interface PathPatterns {
  /** With patterns here only what matches one of them is taken. */
  include?: readonly string[] | undefined;
  /** What matches is left out, whatever `include` says. A pattern that starts with "!" takes back others. */
  exclude?: readonly string[] | undefined;
}

/** Which files below a directory are taken. Paths have `/` on every system. */
export interface PathFilter {
  takes(file: string): boolean;
  /** Whether a directory can have files that are taken. */
  enters(directory: string): boolean;
  /** Whether a pattern names something whose name starts with a dot, which is left out otherwise. */
  namesHidden: boolean;
}

const matcher = (patterns: readonly string[]) =>
  ignore({ ignorecase: false }).add(patterns as string[]);

/** The filter of patterns. Throws `usage` for a pattern that is empty. */
export function pathFilter({ include = [], exclude = [] }: PathPatterns): PathFilter {
  for (const pattern of [...include, ...exclude]) {
    if (pattern.trim() !== "") continue;
    throw new OcibundleError("usage", "an include or exclude pattern is empty", {
      hint: 'remove it, or specify a pattern, such as --include "*.safetensors"',
    });
  }
  const included = include.length === 0 ? undefined : matcher(include);
  const excluded = matcher(exclude);
  return {
    takes: (file) => !excluded.ignores(file) && (included?.ignores(file) ?? true),
    enters: (directory) => !excluded.ignores(`${directory}/`),
    namesHidden: include.some((pattern) => /(?:^|\/)\.[^./]/.test(pattern)),
  };
}

/** A filter that takes what all of several take. */
export const everyFilter = (filters: readonly PathFilter[]): PathFilter => ({
  takes: (file) => filters.every((filter) => filter.takes(file)),
  enters: (directory) => filters.every((filter) => filter.enters(directory)),
  namesHidden: filters.some(({ namesHidden }) => namesHidden),
});

/** The file with patterns of what to leave out of the directory that it lies in. */
const ignoreFileName = ".ocibundleignore";

const maxIgnoreBytes = 1024 * 1024;

/** The patterns of a directory's ignore file, none where there is no such file. Throws `file`, `system`. */
export async function readIgnoreFile(directory: string): Promise<string[]> {
  const path = join(directory, ignoreFileName);
  try {
    const bytes = await readDocument(path, { maxBytes: maxIgnoreBytes });
    const lines = new TextDecoder().decode(bytes).split(/\r?\n/);
    return lines.filter((line) => line.trim() !== "" && !line.startsWith("#"));
  } catch (cause) {
    if (isMissing(cause)) return [];
    throw unreadable(path, cause);
  }
}

/** The error for patterns that leave no file of a source. */
export const nothingTaken = (path: string): OcibundleError =>
  new OcibundleError(
    "file",
    `no file in ${quoted(path)} matches the include and exclude patterns`,
    {
      hint: "use .gitignore patterns, relative to the directory",
    },
  );
