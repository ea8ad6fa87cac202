import { errno } from "../../errors.ts";
import { unwritable } from "../../runtime/file-faults.ts";
import { runtime } from "../../runtime/current.ts";
import { PartPlaces, rangeInFile } from "../../runtime/part-places.ts";
import type { PartJob } from "../../runtime/worker-protocol.ts";
import type { JournalPlace } from "../../transfer/download/download-journal.ts";
import type { AssemblyFile } from "../../transfer/download/partial-file.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import type { FilePlan, PlannedPart } from "../parts/file-plan.ts";
import type { FetchContext } from "./pull-context.ts";
import type { FetchProgress } from "./pull-download.ts";
import type { PartSeed } from "./seeds.ts";

/** A file while it is put together. */
export interface FileAssembly {
  entry: WeightEntry;
  plan: FilePlan;
  /** Where it grows. */
  place: JournalPlace;
  file: AssemblyFile;
  context: FetchContext;
  progress: FetchProgress;
  /** Bytes of the parts that are to be fetched and that nobody has begun with. */
  following: number;
  /** Places that were written since memory was cleared. */
  written: number;
}

/** After so many places memory is cleared, since writing each left something: that takes some milliseconds. */
const manyPlaces = 20_000;

function clearAfter(one: FileAssembly, { length }: PartPlaces): void {
  one.written += length;
  if (one.written < manyPlaces) return;
  one.written = 0;
  runtime.collectGarbage();
}

/** Whether every byte of a part is in the file, once: they are yet to be verified. */
export function isThere(file: AssemblyFile, { once }: PlannedPart): boolean {
  if (once === undefined) return false;
  for (const place of once) if (file.missing(rangeInFile(place)).length > 0) return false;
  return true;
}

/** Whether a job's result is the part. */
export const isPart = (
  { stored }: PlannedPart,
  { digest, size }: { digest: string; size: number },
): boolean => digest === stored.digest && size === stored.size;

/**
 * Verifies a part that lies in the file, and writes it to its further places. Says whether it is right; what
 * is wrong is missing from then on. Throws `file`, `system`.
 */
export async function settlePart(
  one: FileAssembly,
  part: PlannedPart,
  signal: AbortSignal,
): Promise<boolean> {
  const { place, context } = one;
  const { once = noPlaces, places } = part;
  clearAfter(one, places);
  const rest = placesBeside(places, once);
  const job: PartJob = {
    from: { path: place.partial, places: once.numbers },
    ...(rest.length === 0 ? {} : { to: { path: place.partial, places: rest.numbers } }),
  };
  try {
    if (isPart(part, await context.workers.part(job, { signal }))) {
      noteWritten(one, rest);
      return true;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw unwritable(place.partial, error);
  }
  forget(one, places);
  return false;
}

const noPlaces = PartPlaces.of([]);

/** The others among all places: no two begin at one byte of the file. */
function placesBeside(all: PartPlaces, some: PartPlaces): PartPlaces {
  if (some.length === all.length) return noPlaces;
  const positions = new Set(Array.from(some, ({ position }) => position));
  return PartPlaces.of(Array.from(all).filter(({ position }) => !positions.has(position)));
}

/** Says that others have written these places, and that their bytes are right. */
export function noteWritten({ file, progress }: FileAssembly, places: PartPlaces): void {
  for (const place of places) {
    const range = rangeInFile(place);
    const news = file.written.missing(range).reduce((sum, gap) => sum + gap.end - gap.start, 0);
    file.note(range);
    if (news > 0) progress.tell(news);
  }
}

/** Says that the bytes at these places are wrong. */
export function forget({ file, progress }: FileAssembly, places: PartPlaces): void {
  const before = file.written.bytes;
  file.forget(Iterator.from(places).map(rangeInFile));
  const gone = before - file.written.bytes;
  if (gone > 0) progress.tell(-gone);
}

/** Takes a part from what lies on this machine; false where none of it is right. Throws `file`, `system`. */
export async function takeLocal(
  one: FileAssembly,
  part: PlannedPart,
  signal: AbortSignal,
): Promise<boolean> {
  if (isThere(one.file, part) && (await settlePart(one, part, signal))) return true;
  for (const seed of one.context.assembly.seeds.of(part.stored.digest)) {
    if (await copyPart(one, part, seed, signal)) return true;
    one.context.assembly.seeds.reject(seed.path);
  }
  return false;
}

/** Copies a part from another file, hashed on the way; false where it is not there. Throws `file`, `system`. */
export async function copyPart(
  one: FileAssembly,
  part: PlannedPart,
  { path, places: there }: Pick<PartSeed, "path" | "places">,
  signal: AbortSignal,
): Promise<boolean> {
  const { place, progress, context } = one;
  const { places } = part;
  clearAfter(one, places);
  const job: PartJob = {
    from: { path, places: there.numbers },
    to: { path: place.partial, places: places.numbers },
  };
  // What an earlier run had fetched of it is overwritten.
  forget(one, part.places);
  try {
    if (!isPart(part, await context.workers.part(job, { signal }))) return false;
  } catch (error) {
    signal.throwIfAborted();
    throwIfOfTarget(error, place.partial);
    return false;
  }
  for (const written of part.places) one.file.note(rangeInFile(written));
  progress.reuse(part.places.bytes);
  return true;
}

const ofTarget: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EFBIG", "EROFS"]);

/** Throws, as `unwritable`, what says that the file that is written to is at fault, and not the one that is read. */
export function throwIfOfTarget(error: unknown, path: string): void {
  if (ofTarget.has(errno(error) ?? "")) throw unwritable(path, error);
}
