import { type FileHandle, rm } from "node:fs/promises";
import { OcibundleError, errno } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { openOwnFile } from "../../runtime/own-file.ts";
import { blobPath, layoutFileName } from "../layout/documents.ts";
import { type OwnedTemp, takeEndedTemps, type TempPlace } from "../locks/owned-temp.ts";
import { tarEntries } from "./entries.ts";
import { paddingAfter } from "./header.ts";
import { fileTarSource } from "./source.ts";

/** What an archive is to hold, in bytes: nothing else is gone on from. */
export type WantedBlobs = ReadonlyMap<Digest, number>;

/** What a run that did not come to its end has left of an archive; nothing in it was compared yet. */
export interface Unfinished {
  /** Where the content of whole entries lies. */
  whole: Map<Digest, { position: number; size: number }>;
  /** The entry that was being written, which begins at `end`: how much of its content is there. */
  cut: { digest: Digest; there: number } | undefined;
  /** Where the next entry begins. */
  end: number;
}

/** An archive that is not finished, open, and this process's own. */
export interface UnfinishedArchive extends Unfinished {
  temporary: OwnedTemp;
  file: FileHandle;
}

/**
 * Takes what an ended run has left of an archive and is wanted, from its front on; what else ended runs
 * have left beside it is removed. Throws errno errors.
 */
export async function takeUnfinished(
  place: TempPlace,
  wanted: WantedBlobs,
): Promise<UnfinishedArchive | undefined> {
  let taken: UnfinishedArchive | undefined;
  for (const temporary of await takeEndedTemps(place)) {
    taken ??= await openUnfinished(temporary, wanted);
    if (taken?.temporary === temporary) continue;
    await rm(temporary.path, { force: true, recursive: true }).catch(() => undefined);
    temporary.release();
  }
  return taken;
}

async function openUnfinished(
  temporary: OwnedTemp,
  wanted: WantedBlobs,
): Promise<UnfinishedArchive | undefined> {
  // Not gone with its run, and not another user's.
  const file = await openOwnFile(temporary.path).catch(unlessErrno);
  if (file === undefined) return undefined;
  const found = await readUnfinished(file, wanted);
  if (found !== undefined) return { ...found, temporary, file };
  await file.close();
  return undefined;
}

function unlessErrno(error: unknown): undefined {
  if (errno(error) === undefined) throw error;
}

async function readUnfinished(
  file: FileHandle,
  wanted: WantedBlobs,
): Promise<Unfinished | undefined> {
  const { size: length } = await file.stat();
  const digests = new Map([...wanted.keys()].map((digest) => [blobPath(digest), digest]));
  const found: Unfinished = { whole: new Map(), cut: undefined, end: 0 };
  try {
    for await (const { type, name, offset, size } of tarEntries(
      fileTarSource(file, length),
      "it",
    )) {
      const isFirst = found.end === 0;
      const digest = digests.get(name);
      if (isFirst ? name !== layoutFileName : digest === undefined) break;
      if (digest !== undefined) {
        if (type !== "file" || wanted.get(digest) !== size || found.whole.has(digest)) break;
        if (offset + size > length) {
          found.cut = { digest, there: length - offset };
          break;
        }
        found.whole.set(digest, { position: offset, size });
      }
      found.end = offset + size + paddingAfter(size);
    }
  } catch (error) {
    // Damaged from there on.
    if (!(error instanceof OcibundleError)) throw error;
  }
  return found.whole.size === 0 && found.cut === undefined ? undefined : found;
}
