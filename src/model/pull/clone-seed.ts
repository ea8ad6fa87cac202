import { lstat } from "node:fs/promises";
import { errno } from "../../errors.ts";
import type { ByteRange } from "../../oci/content.ts";
import { runtime } from "../../runtime/current.ts";
import { cloneToWrite } from "../../runtime/own-file.ts";
import { rangeInFile } from "../../runtime/part-places.ts";
import { isUnchanged } from "../../store/records/file-records.ts";
import type { FilePlan, PlannedPart } from "../parts/file-plan.ts";
import type { FetchContext } from "./pull-context.ts";
import type { PartSeed } from "./seeds.ts";
import { unlinkable } from "../../store/placement/materialize.ts";

/** A file that began as a clone of another. */
export interface ClonedSeed {
  /** Which ranges of it belong there. */
  ranges: ByteRange[];
  /** The parts whose bytes need not be hashed: nobody has changed them since they were verified. */
  proven: PlannedPart[];
}

/**
 * Makes a file as a clone of the seed that has the most wanted bytes at the places where they are wanted.
 * Undefined where there is none, or where files can't be cloned.
 */
export async function cloneSeed(
  path: string,
  plan: FilePlan,
  { assembly, seen }: Pick<FetchContext, "assembly" | "seen">,
): Promise<ClonedSeed | undefined> {
  if (!runtime.clonesFiles || seen.noClones === true) return undefined;
  const files = new Map<string, { bytes: number; parts: Map<PlannedPart, PartSeed> }>();
  for (const part of plan.parts) {
    for (const seed of assembly.seeds.of(part.stored.digest)) {
      // It must lie in the seed where it is wanted.
      if (!part.places.isSame(seed.places)) continue;
      const file = files.get(seed.path) ?? { bytes: 0, parts: new Map<PlannedPart, PartSeed>() };
      file.bytes += part.stored.size;
      file.parts.set(part, seed);
      files.set(seed.path, file);
    }
  }
  const [best] = [...files].toSorted(([, a], [, b]) => b.bytes - a.bytes);
  if (best === undefined) return undefined;
  const [source, { parts }] = best;
  try {
    await cloneToWrite(source, path);
  } catch (error) {
    if (unlinkable.has(errno(error) ?? "")) seen.noClones = true;
    return undefined;
  }
  const now = await lstat(source, { bigint: true }).catch(() => undefined);
  // Each by what was seen when it was believed: the file may have been looked at twice.
  const isProven = ({ trusted, stats }: PartSeed): boolean =>
    trusted && now !== undefined && isUnchanged(stats, now);
  return {
    ranges: [...parts.keys()].flatMap(({ places }) => Array.from(places, rangeInFile)),
    proven: [...parts].flatMap(([part, seed]) => (isProven(seed) ? [part] : [])),
  };
}
