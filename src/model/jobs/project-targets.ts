import { posix } from "node:path";
import type { CogSource } from "../format/cog-lock.ts";
import type { ProjectWeight } from "../format/project-file.ts";
import { readProjectFile } from "../format/read-project-file.ts";
import { isSourceUri, shownSource } from "../format/source-uri.ts";
import type { NamedWeight, OriginalFile } from "../layout/original-file.ts";
import type { Session } from "../session/session.ts";
import type { ModelParts } from "./model-parts.ts";

/**
 * Files with the weights of the project file that they belong to, in its order, where it says where they are. A
 * file that is a weight by itself is the only one in its directory, since Cog's weights are directories.
 */
export async function withTargets(
  { cwd }: Session,
  { weights, file, weightsFrom }: Pick<ModelParts, "weights" | "file" | "weightsFrom">,
  files: readonly OriginalFile[],
): Promise<readonly OriginalFile[]> {
  if (weights.length + file.length > 0 || weightsFrom !== undefined) return files;
  const found = await readProjectFile(cwd);
  const items = found?.project.weights ?? [];
  const left = new Set(files);
  const placed: OriginalFile[] = [];
  for (const item of items) {
    const own = [...left].filter(({ dest }) => isOf(item, dest));
    const isFile = own.some(({ dest }) => dest === item.target);
    const weight = weightOf(item, isFile);
    for (const one of own) {
      left.delete(one);
      placed.push({ ...one, weight });
    }
  }
  return [...placed, ...left];
}

const isOf = ({ target }: ProjectWeight, dest: string): boolean =>
  dest === target || dest.startsWith(target === "/" ? "/" : `${target}/`);

function weightOf(
  { name, target, sources, include, exclude }: ProjectWeight,
  isFile: boolean,
): NamedWeight {
  const directory = isFile ? posix.dirname(target) : target;
  return {
    name: name ?? directory,
    target: directory,
    sources: sources.map((source): CogSource => {
      const patterns = [...source.include, ...include];
      return {
        uri: uriOf(isFile ? posix.dirname(source.path) : source.path),
        include: normalized(isFile ? [...patterns, posix.basename(source.path)] : patterns),
        exclude: normalized([...source.exclude, ...exclude]),
      };
    }),
  };
}

/** As Cog writes it. */
function uriOf(path: string): string {
  if (isSourceUri(path)) return shownSource(path);
  const plain = posix.normalize(path.replaceAll("\\", "/")).replace(/(?<=.)\/$/, "");
  if (plain.startsWith("/")) return `file://${plain}`;
  return plain === "." ? "file://." : `file://./${plain}`;
}

const normalized = (patterns: readonly string[]): string[] =>
  [...new Set(patterns.map((pattern) => pattern.trim()))].toSorted();
