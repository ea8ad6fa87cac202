import { lockPartsMember, type WeightEntry } from "../format/weight-entry.ts";
import { lockPartsValue } from "../parts/lock-parts.ts";
import { asItIs } from "../parts/parts-artifact.ts";
import { segmentsOf } from "../parts/segments.ts";
import { type TreeNumbers, treeRule } from "../parts/tree.ts";
import type { Session } from "../session/session.ts";
import { cutFiles } from "../weights/cut-files.ts";
import type { FileCut, WeightContent } from "../weights/file-state.ts";
import { readWeights } from "../weights/read-weights.ts";
import type { WeightSources } from "../weights/lock-sources.ts";
import { readOptions } from "./read-options.ts";

/** How files are split whose parts are not known. */
export interface SplitChoice {
  /** Those of the version before. */
  numbers: TreeNumbers | undefined;
  /** The most layers that there may be. */
  layers: number | undefined;
}

/**
 * The entries of a lock that has no parts, with parts for the files that are here, or can be read from elsewhere,
 * and large enough. A file that changed since it was locked keeps its entry: it is found out when it is sent.
 * Throws `file`, `integrity`, and what the source of a remote file throws.
 */
export async function cutEntries(
  session: Session,
  entries: readonly WeightEntry[],
  { paths, remotes }: Pick<WeightSources, "paths" | "remotes">,
  { numbers: given, layers }: SplitChoice,
): Promise<WeightEntry[]> {
  const { numbers, cuts } = await cutFiles(
    entries.map(({ name }) => ({ path: paths.get(name), remote: remotes?.get(name) })),
    given,
    { layers, signal: session.signal },
  );
  const wanted = entries.flatMap((entry, index) => {
    const remote = remotes?.get(entry.name);
    const [cut, path] = [cuts[index], remote?.uri ?? paths.get(entry.name)];
    return cut === undefined || path === undefined ? [] : [{ entry, cut, path, remote }];
  });
  const contents = await readWeights(
    wanted.map(({ entry: { name }, ...file }) => ({ name, ...file, choose: () => "none" })),
    // What is sent is sent in parts, once they are known.
    { ...readOptions(session), sendUnnamed: undefined },
  );
  const split = new Map(
    wanted.flatMap(({ entry, cut }, index) => {
      const content = contents[index];
      return content === undefined || content.digest !== entry.digestOriginal
        ? []
        : [[entry, withParts(entry, content, cut, numbers)] as const];
    }),
  );
  return entries.map((entry) => split.get(entry) ?? entry);
}

/** An entry with the parts that its file was cut into, or without any. */
export function withParts(
  entry: WeightEntry,
  { parts: digests }: WeightContent,
  cut: FileCut | undefined,
  numbers: TreeNumbers | undefined,
): WeightEntry {
  const { [lockPartsMember]: _, ...rest } = entry;
  if (cut === undefined || digests === undefined || numbers === undefined) return rest;
  const { parts, segments } = segmentsOf(cut.plan, digests);
  return {
    ...rest,
    [lockPartsMember]: lockPartsValue({
      split: { by: treeRule, ...numbers },
      parts: parts.map(asItIs),
      segments,
    }),
  };
}
