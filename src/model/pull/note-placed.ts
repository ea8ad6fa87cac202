import {
  asPlaced,
  isAsPlaced,
  notePlacedUse,
  type PlacedFile,
  readPlaced,
  writePlaced,
} from "../../store/records/placed.ts";
import type { Cache } from "../../store/cache/cache.ts";
import type { HubNote } from "./hub-cache.ts";
import { lookAtStage, openStage, type Stage, type StageOptions } from "./sync.ts";
import type { WantedFile } from "./pull-plan.ts";

/** The next version of a directory, by what is known of the last one; see `openStage`. */
export async function stageOf(
  { cache, dir, source }: Pick<PulledInto, "cache" | "dir" | "source">,
  options: Omit<StageOptions, "dir" | "last">,
): Promise<Stage | undefined> {
  return openStage({ ...options, dir, last: await lastPull(cache, dir, source) });
}

/** What the next version would do to a directory; see `lookAtStage`. */
export const lookAtStageOf = async (
  { cache, dir, source }: Pick<PulledInto, "cache" | "dir" | "source">,
  options: Omit<StageOptions, "dir" | "last">,
): ReturnType<typeof lookAtStage> =>
  lookAtStage({ ...options, dir, last: await lastPull(cache, dir, source) });

const lastPull = async (cache: Cache, dir: string, source: string) =>
  (await readPlaced(cache, dir))?.pulls.find((one) => one.source === source);

export interface PulledInto {
  cache: Cache;
  /** Absolute. */
  dir: string;
  /** The repository or layout. */
  source: string;
  digest: string;
  files: readonly WantedFile[];
  /** Those that this pull found in their places: they count only if an earlier one placed them. */
  isKept(file: WantedFile): boolean;
  hub: boolean;
  /** What was written to a hub's cache besides. */
  notes: readonly HubNote[];
  /** Whether the directory is kept in sync: then files of earlier versions are gone. */
  sync: boolean;
}

/**
 * Notes what a pull placed, with what earlier pulls of the directory placed and nobody changed since. Throws the
 * file system's errors only where the directory is kept in sync.
 */
export async function notePulled(pull: PulledInto): Promise<void> {
  const { cache, dir, source, digest, files, isKept, hub, notes, sync } = pull;
  const before = await readPlaced(cache, dir);
  const last = before?.pulls.find((one) => one.source === source);
  const isKnown =
    last !== undefined &&
    last.digest === digest &&
    files.every(isKept) &&
    !notes.some(({ isNew }) => isNew);
  if (isKnown && !sync) return notePlacedUse(cache, dir);
  const known = new Map((last?.files ?? []).map((file) => [file.path, file]));
  const placed: PlacedFile[] = [];
  const all = [
    ...files.map((file) => ({ path: file.parts.join("/"), isNew: !isKept(file) })),
    ...notes,
  ];
  for (const { path, isNew } of all) {
    const earlier = known.get(path);
    known.delete(path);
    const noted = isNew ? await asPlaced(dir, path) : earlier;
    if (noted !== undefined) placed.push(noted);
  }
  for (const file of known.values()) if (await isAsPlaced(dir, file)) placed.push(file);
  // What another model's pull replaced is that one's now.
  const own = new Set(placed.map(({ path }) => path));
  const others = (before?.pulls ?? [])
    .filter((one) => one.source !== source)
    .map((one) => ({ ...one, files: one.files.filter(({ path }) => !own.has(path)) }));
  const pulls = [...others, { source, digest, files: placed }];
  return writePlaced(cache, { version: 1, dir, hub, pulls }, { sync });
}
