import { join } from "node:path";
import { OcibundleError } from "../../errors.ts";
import {
  asPlaced,
  isAsPlaced,
  notePlacedUse,
  type PlacedFile,
  type PlacedPull,
  readPlaced,
  writePlaced,
} from "../../store/records/placed.ts";
import type { JobContext } from "../session/session.ts";
import type { Cache } from "../../store/cache/cache.ts";
import type { HubNote } from "./hub-cache.ts";
import { lookAtStage, openStage, type Stage, type StageOptions } from "./sync.ts";
import type { WantedFile } from "./pull-plan.ts";

type Stageable = Pick<PulledInto, "cache" | "dir" | "source"> & { emit: JobContext["emit"] };
type Options = Omit<StageOptions, "dir" | "last">;

/** The next version of a directory, by what is known of the last one; see `openStage`. */
export async function stageOf(into: Stageable, options: Options): Promise<Stage | undefined> {
  const last = await replacedBy(into, options);
  const stage = await openStage({ ...options, dir: into.dir, last });
  if (stage !== undefined) sayReplaced(into, last);
  return stage;
}

/** What the next version would do to a directory; see `lookAtStage`. */
export async function lookAtStageOf(
  into: Stageable,
  options: Options,
): ReturnType<typeof lookAtStage> {
  const last = await replacedBy(into, options);
  const found = await lookAtStage({ ...options, dir: into.dir, last });
  if (found.replaces) sayReplaced(into, last);
  return found;
}

function sayReplaced({ dir, source, emit }: Stageable, last: readonly PlacedPull[]): void {
  for (const other of new Set(last.map((one) => one.source))) {
    if (other === source) continue;
    emit({ type: "warning", message: `"${source}" replaces "${other}" in "${dir}"` });
  }
}

/** Whether a version that is pulled with --sync takes the place of what an earlier pull placed, in any case. */
const isReplaced = (one: PlacedPull, next: { source: string; digest: string }): boolean =>
  one.sync === true || one.source === next.source || one.digest === next.digest;

/**
 * What a version that is pulled with --sync takes the place of. A model that was pulled without it is not known to
 * be an earlier version: throws `conflict` where the two can't lie beside each other, unless it is to be replaced.
 */
async function replacedBy(
  { cache, dir, source }: Stageable,
  { digest, files, force }: Options,
): Promise<PlacedPull[]> {
  const wanted = new Set(files.map(({ parts }) => parts.join("/")));
  const replaced: PlacedPull[] = [];
  for (const one of (await readPlaced(cache, dir))?.pulls ?? []) {
    const shared = isReplaced(one, { source, digest })
      ? undefined
      : await firstPlaced(dir, one, wanted);
    if (shared !== undefined && !force) {
      const path = join(dir, shared.path);
      throw new OcibundleError(
        "conflict",
        `"${path}" belongs to "${one.source}", which was pulled without --sync`,
        { hint: "add --force to replace that model, or pull into another directory with -o" },
      );
    }
    if (shared !== undefined || isReplaced(one, { source, digest })) replaced.push(one);
  }
  return replaced;
}

/** The first of some paths where a file is as a pull has placed it. */
async function firstPlaced(
  dir: string,
  { files }: PlacedPull,
  paths: ReadonlySet<string>,
): Promise<PlacedFile | undefined> {
  for (const file of files) if (paths.has(file.path) && (await isAsPlaced(dir, file))) return file;
  return undefined;
}

/** A pull that ended, to be noted in the cache and beside the files. */
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
  const isOwn = (one: PlacedPull): boolean =>
    one.source === source || (sync && isReplaced(one, { source, digest }));
  const earlier = (before?.pulls ?? []).filter(isOwn).flatMap((one) => one.files);
  const known = new Map(earlier.map((file) => [file.path, file]));
  const placed: PlacedFile[] = [];
  const all = [
    ...files.map((file) => ({ path: file.parts.join("/"), isNew: !isKept(file) })),
    ...notes,
  ];
  for (const { path, isNew } of all) {
    const noted = isNew ? await asPlaced(dir, path) : known.get(path);
    known.delete(path);
    if (noted !== undefined) placed.push(noted);
  }
  for (const file of known.values()) if (await isAsPlaced(dir, file)) placed.push(file);
  // What another model's pull replaced is that one's now.
  const own = new Set(placed.map(({ path }) => path));
  const others: PlacedPull[] = [];
  for (const one of (before?.pulls ?? []).filter((other) => !isOwn(other))) {
    const left = one.files.filter(({ path }) => !own.has(path));
    // With --force a model that was pulled without --sync is gone as well.
    const isGone =
      sync && (await firstPlaced(dir, one, new Set(left.map(({ path }) => path)))) === undefined;
    if (!isGone) others.push({ ...one, files: left });
  }
  const kept = sync || last?.sync === true ? { sync: true } : {};
  const pulls = [...others, { source, digest, files: placed, ...kept }];
  return writePlaced(cache, { version: 1, dir, hub, pulls }, { sync });
}
