import type { ByteRange } from "../../oci/content.ts";
import { createFile, readableMode } from "../../runtime/own-file.ts";
import { fileChunks } from "../../store/file-chunks.ts";
import { openTargetDirectory } from "../../store/placement/target-directory.ts";
import { writeAll } from "../../store/verified-write.ts";
import {
  type JournalPlace,
  journalWriter,
  readJournal,
} from "../../transfer/download/download-journal.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { FetchContext } from "./pull-context.ts";
import { partsIn, removeParts } from "./fetch-in-place.ts";
import type { WantedFile } from "./pull-plan.ts";

/**
 * Takes what lies of a blob in the cache, at `from`, to where `growInPlace` goes on from it, so that it is not
 * fetched again. `descriptor` is what its journal names. Says whether it did: what was there already is left alone,
 * and what can't be taken is fetched. Hold the blob's lock; `from` is the caller's to remove.
 */
export async function movePartial(
  file: WantedFile,
  from: JournalPlace,
  descriptor: Descriptor,
  { root, alone, session: { signal, emit } }: FetchContext,
): Promise<boolean> {
  // Who shares the directory has parts there that nobody goes on from.
  if (!alone) return false;
  const { entry, parts } = file;
  const ranges = await readJournal(from, descriptor);
  if (ranges === undefined) return false;
  await using directory = await openTargetDirectory(root, parts.slice(0, -1));
  const { whole, place } = partsIn(directory, file, parts.at(-1) ?? "");
  if ((await readJournal(place, descriptor)) !== undefined) return false;
  try {
    await removeParts(whole);
    const inode = await copyRanges(from.partial, place.partial, descriptor.size, ranges, signal);
    const journal = journalWriter(place, descriptor, inode);
    try {
      journal.write(ranges);
    } finally {
      journal.close();
    }
  } catch {
    await removeParts(whole);
    signal.throwIfAborted();
    // No room here either, as the download will say.
    return false;
  }
  const bytes = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  emit({
    type: "detail",
    message: `${entry.name}: resumed with ${bytes} bytes from the cache`,
  });
  return true;
}

/** Copies parts of a file to the same places of a new one of `size` bytes, and returns that one's inode. */
async function copyRanges(
  from: string,
  to: string,
  size: number,
  ranges: readonly ByteRange[],
  signal: AbortSignal,
): Promise<bigint> {
  const file = await createFile(to, readableMode);
  try {
    await file.truncate(size);
    for (const { start, end } of ranges) {
      let position = start;
      for await (const chunk of fileChunks(from, start, end, signal)) {
        await writeAll(file, chunk, position);
        position += chunk.byteLength;
      }
    }
    return (await file.stat({ bigint: true })).ino;
  } finally {
    await file.close();
  }
}
