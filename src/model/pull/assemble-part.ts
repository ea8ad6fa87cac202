import { lstat } from "node:fs/promises";
import { errno } from "../../errors.ts";
import { runtime } from "../../runtime/current.ts";
import { unwritable } from "../../runtime/file-faults.ts";
import type { CopyRange, PartJob, PartPlace } from "../../runtime/worker-protocol.ts";
import { isUnchanged } from "../../store/records/file-records.ts";
import type { JournalPlace } from "../../transfer/download/download-journal.ts";
import type { AssemblyFile } from "../../transfer/download/partial-file.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import type { FilePlan, PlannedPart } from "../parts/file-plan.ts";
import type { FetchContext } from "./pull-context.ts";
import type { FetchProgress } from "./pull-download.ts";
import { type PartSeed, rangesOf } from "./seeds.ts";

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
}

const rangeOfPlace = ({ start, end, position }: PartPlace) => ({
  start: position,
  end: position + end - start,
});

const bytesOf = (places: readonly PartPlace[]): number =>
  places.reduce((sum, { start, end }) => sum + end - start, 0);

/** Whether every byte of a part is in the file, once: they are yet to be verified. */
export const isThere = (file: AssemblyFile, { once }: PlannedPart): boolean =>
  once?.every((place) => file.missing(rangeOfPlace(place)).length === 0) === true;

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
  const { once = [], places } = part;
  const there = new Set(once);
  const rest = places.filter((other) => !there.has(other));
  const job: PartJob = {
    from: rangesOf(place.partial, once),
    ...(rest.length === 0 ? {} : { to: { path: place.partial, places: rest } }),
  };
  // The worker gets a copy of the places, and writing them left something for each.
  if (places.length >= manyPlaces) runtime.collectGarbage();
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

/** From so many places on, memory is cleared before they are handed to a worker. */
const manyPlaces = 20_000;

/** Says that others have written these places, and that their bytes are right. */
export function noteWritten({ file, progress }: FileAssembly, places: readonly PartPlace[]): void {
  for (const place of places) {
    const range = rangeOfPlace(place);
    const news = file.written.missing(range).reduce((sum, gap) => sum + gap.end - gap.start, 0);
    file.note(range);
    if (news > 0) progress.tell(news);
  }
}

/** Says that the bytes at these places are wrong. */
export function forget({ file, progress }: FileAssembly, places: readonly PartPlace[]): void {
  const before = file.written.bytes;
  file.forget(places.map(rangeOfPlace));
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

/** A part, and a file that has it. */
export interface SeededPart {
  part: PlannedPart;
  seed: PartSeed;
}

/** So many bytes are copied as one job. */
const copiedAtOnce = 64 * 1024 * 1024;

/**
 * Parts that lie in files which are unchanged since they were verified there, by the files, in the order of the parts
 * and about 64 MiB at a time; and all others.
 */
export function splitProven(
  parts: readonly PlannedPart[],
  { file, context }: Pick<FileAssembly, "file" | "context">,
): { proven: SeededPart[][]; others: PlannedPart[] } {
  const others: PlannedPart[] = [];
  const open = new Map<string, { batch: SeededPart[]; bytes: number }>();
  const proven: SeededPart[][] = [];
  for (const part of parts) {
    const [seed] = isThere(file, part) ? [] : context.assembly.seeds.of(part.stored.digest);
    if (seed?.trusted !== true) {
      others.push(part);
      continue;
    }
    let last = open.get(seed.path);
    if (last === undefined || last.bytes >= copiedAtOnce) {
      last = { batch: [], bytes: 0 };
      open.set(seed.path, last);
      proven.push(last.batch);
    }
    last.batch.push({ part, seed });
    last.bytes += part.stored.size;
  }
  return { proven, others };
}

/**
 * Copies parts from one file without hashing them again. False, and none of them counts, where the file is not what it
 * was when they were verified in it. Throws `file`, `system`.
 */
export async function copyProven(
  one: FileAssembly,
  parts: readonly SeededPart[],
  signal: AbortSignal,
): Promise<boolean> {
  const { place, progress, context } = one;
  const from = parts[0]?.seed.path ?? "";
  for (const { part } of parts) forget(one, part.places);
  try {
    const job = { from, to: place.partial, ranges: rangesToCopy(parts) };
    await context.workers.copy(job, { signal });
  } catch (error) {
    signal.throwIfAborted();
    if (ofTarget.has(errno(error) ?? "")) throw unwritable(place.partial, error);
    return false;
  }
  // Looked at after it was read: a change before the last byte was copied shows.
  const now = await lstat(from, { bigint: true }).catch(() => undefined);
  if (now === undefined || !parts.every(({ seed }) => isUnchanged(seed.stats, now))) return false;
  for (const { part } of parts) {
    for (const written of part.places) one.file.note(rangeOfPlace(written));
    progress.reuse(bytesOf(part.places));
  }
  return true;
}

/** Where the bytes of parts lie in the file that has them, and where they go, in the order of where they go. */
export function rangesToCopy(
  parts: readonly { part: Pick<PlannedPart, "places">; seed: Pick<PartSeed, "places"> }[],
): CopyRange[] {
  const pieces = parts.flatMap(({ part, seed }) =>
    part.places.flatMap((place) =>
      placesOf(seed.places, place).map((there): CopyRange => {
        const start = Math.max(place.start, there.start);
        const length = Math.min(place.end, there.end) - start;
        const source = there.position + start - there.start;
        return { source, target: place.position + start - place.start, length };
      }),
    ),
  );
  pieces.sort((a, b) => a.target - b.target);
  const ranges: CopyRange[] = [];
  for (const piece of pieces) {
    const last = ranges.at(-1);
    const follows =
      last !== undefined &&
      last.target + last.length === piece.target &&
      last.source + last.length === piece.source;
    if (follows) last.length += piece.length;
    else ranges.push(piece);
  }
  return ranges;
}

/** Those of places that follow one another in a part which have some of a range of it. */
function placesOf(
  places: readonly PartPlace[],
  { start, end }: Pick<PartPlace, "start" | "end">,
): readonly PartPlace[] {
  let low = 0;
  for (let high = places.length; low < high;) {
    const middle = (low + high) >>> 1;
    if ((places[middle]?.end ?? Infinity) <= start) low = middle + 1;
    else high = middle;
  }
  let after = low;
  while ((places[after]?.start ?? Infinity) < end) after += 1;
  return places.slice(low, after);
}

/** What says that the file that is written to is at fault, and not the one that is read. */
const ofTarget: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EFBIG", "EROFS"]);

/** Copies a part from another file, hashed on the way; false where it is not there. Throws `file`, `system`. */
export async function copyPart(
  one: FileAssembly,
  part: PlannedPart,
  { path, places: there }: Pick<PartSeed, "path" | "places">,
  signal: AbortSignal,
): Promise<boolean> {
  const { place, progress, context } = one;
  const job = { from: rangesOf(path, there), to: { path: place.partial, places: part.places } };
  // What an earlier run had fetched of it is overwritten.
  forget(one, part.places);
  try {
    if (!isPart(part, await context.workers.part(job, { signal }))) return false;
  } catch (error) {
    signal.throwIfAborted();
    if (ofTarget.has(errno(error) ?? "")) throw unwritable(place.partial, error);
    return false;
  }
  for (const written of part.places) one.file.note(rangeOfPlace(written));
  progress.reuse(bytesOf(part.places));
  return true;
}
