import type { FileHandle } from "node:fs/promises";
import type { ByteRange } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { unwritable } from "../../runtime/file-faults.ts";
import { openOwnFile, readableMode, replaceFile } from "../../runtime/own-file.ts";
import { type JournalPlace, readJournal, removeJournal } from "./download-journal.ts";
import type { AssemblyFile } from "./partial-file.ts";
import { GrowingFile } from "./growing-file.ts";
import type { PartialFileOptions } from "./partial-file-options.ts";

/** Opens or makes the partial file of a blob, with what a former run's journal says is in it. */
export async function openPartialFile(
  place: JournalPlace,
  descriptor: Descriptor,
  options: PartialFileOptions = {},
): Promise<AssemblyFile> {
  try {
    const left = await openLeft(place, descriptor);
    if (left === undefined) await removeJournal(place);
    const begun = left ?? (await openBegun(place, options));
    const handle = begun?.handle ?? (await replaceFile(place.partial, readableMode));
    try {
      await grow(handle, descriptor.size);
      const { ino } = await handle.stat({ bigint: true });
      return new GrowingFile(handle, ino, place, descriptor, {
        ...options,
        known: begun?.known ?? [],
        resumed: left !== undefined,
      });
    } catch (error) {
      await handle.close();
      throw error;
    }
  } catch (error) {
    throw unwritable(place.partial, error);
  }
}

/** No file can be larger: Bun refuses to make it, and says so in words of its own. In bytes. */
const largestFile = 2 ** 52 - 1;

async function grow(handle: FileHandle, size: number): Promise<void> {
  if (size > largestFile) throw Object.assign(new Error("file too large"), { code: "EFBIG" });
  await handle.truncate(size);
}

/**
 * What a former run left, where that is certain. Otherwise the name may be that of a finished file, to
 * which a killed run linked it: it is replaced then, and not written to.
 */
async function openLeft(
  place: JournalPlace,
  descriptor: Descriptor,
): Promise<{ handle: FileHandle; known: ByteRange[] } | undefined> {
  const handle = await openOwnFile(place.partial);
  if (handle === undefined) return undefined;
  try {
    const known = await readJournal(place, descriptor, await handle.stat({ bigint: true }));
    if (known !== undefined) return { handle, known };
  } catch (error) {
    await handle.close();
    throw error;
  }
  await handle.close();
  return undefined;
}

async function openBegun(
  { partial }: JournalPlace,
  { begin }: PartialFileOptions,
): Promise<{ handle: FileHandle; known: ByteRange[] } | undefined> {
  const known = await begin?.(partial);
  if (known === undefined) return undefined;
  const handle = await openOwnFile(partial);
  return handle === undefined ? undefined : { handle, known };
}
