import { lstat } from "node:fs/promises";
import { rangeInFile } from "../../runtime/part-places.ts";
import type { CopyRange } from "../../runtime/worker-protocol.ts";
import { isUnchanged } from "../../store/records/file-records.ts";
import type { PlannedPart } from "../parts/file-plan.ts";
import type { PartSeed } from "./seeds.ts";
import { type FileAssembly, forget, isThere, throwIfOfTarget } from "./assemble-part.ts";

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
    throwIfOfTarget(error, place.partial);
    return false;
  }
  // Looked at after it was read: a change before the last byte was copied shows.
  const now = await lstat(from, { bigint: true }).catch(() => undefined);
  if (now === undefined || !parts.every(({ seed }) => isUnchanged(seed.stats, now))) return false;
  for (const { part } of parts) {
    for (const written of part.places) one.file.note(rangeInFile(written));
    progress.reuse(part.places.bytes);
  }
  return true;
}

/** Where the bytes of parts lie in the file that has them, and where they go, in the order of where they go. */
export function rangesToCopy(
  parts: readonly { part: Pick<PlannedPart, "places">; seed: Pick<PartSeed, "places"> }[],
): CopyRange[] {
  const pieces = parts.flatMap(({ part, seed }) =>
    Array.from(part.places).flatMap((place) =>
      Array.from(seed.places.within(place), (there): CopyRange => {
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
