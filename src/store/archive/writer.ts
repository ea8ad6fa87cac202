import { Buffer } from "node:buffer";
import { realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import pLimit from "p-limit";
import { OcibundleError } from "../../errors.ts";
import type { ContentWriter } from "../../oci/content.ts";
import { type Digest, matchesDigest, shortDigest } from "../../oci/digest.ts";
import { chmodAsNew, createFile, readableMode } from "../../runtime/own-file.ts";
import { blockSize, endSize, entryHeader, paddingAfter } from "./header.ts";
import {
  blobPath,
  emptyIndex,
  formatLayoutIndex,
  indexFileName,
  layoutFileBytes,
  layoutFileName,
  withManifest,
} from "../layout/documents.ts";
import { layoutArchive } from "./replaceable.ts";
import { takeUnfinished, type UnfinishedArchive, type WantedBlobs } from "./unfinished.ts";
import { besides, type OwnedTemp, ownTemp, sweepOwnedTemps } from "../locks/owned-temp.ts";
import { refuseOtherContent } from "../output-file.ts";
import {
  completeVerified,
  isIntegrity,
  refuseSpecial,
  syncDirectory,
  writeAll,
} from "../verified-write.ts";
import { unwritable } from "../../runtime/file-faults.ts";

/** An archive of an OCI image layout that is being written. It has its name only after `commit`. */
export interface LayoutArchiveWriter extends ContentWriter {
  /** Ends the archive, flushes it and puts it under its name, in place of what was there. */
  commit(signal: AbortSignal): Promise<void>;
  /**
   * Gives up what was not committed: a later run that wants the same goes on from it where that was
   * asked for, else it is removed. Never throws.
   */
  discard(): Promise<void>;
}

/**
 * Begins an archive of a layout at `given`. Blobs are written as they come, one after the other.
 *
 * Only names, sizes and content are in it: the same calls in the same order give the same bytes. With
 * `wanted`, all that it is to hold, an archive that an earlier run did not finish is gone on with.
 * Throws `conflict` where something else has the name, `file` where the directory is missing, `system`.
 */
export async function createLayoutArchive(
  given: string,
  wanted?: WantedBlobs,
  name = `oci-archive:${given}`,
): Promise<LayoutArchiveWriter> {
  // A link to an archive stays a link.
  const path = await realpath(given).catch(() => given);
  const { temporary, file, whole, ...unfinished } = await begin(path, wanted);
  /** An archive has one end, so one entry is written at a time. */
  const oneByOne = pLimit(1);
  const blobs = new Map<Digest, number>();
  let index = emptyIndex();
  let { end, cut } = unfinished;
  let isOpen = true;
  let isWrong = false;

  /** Writes an entry at the end; what follows the end is the beginning of its content, or of no use. */
  const append = async (
    entry: string,
    size: number,
    write: (position: number) => Promise<void>,
    isBegun = false,
  ): Promise<void> => {
    try {
      if (!isBegun) await file.truncate(end);
      await writeAll(file, entryHeader(entry, size), end);
      await write(end + blockSize);
      end += blockSize + size + paddingAfter(size);
      // Padding is zero bytes.
      await file.truncate(end);
    } catch (error) {
      isWrong ||= isIntegrity(error);
      throw unwritable(path, error);
    }
  };
  const appendBytes = (entry: string, bytes: Uint8Array): Promise<void> =>
    append(entry, bytes.byteLength, (position) => writeAll(file, bytes, position));

  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await file.close();
  };
  const release = (): void => temporary.release();

  if (end === 0) await appendBytes(layoutFileName, layoutFileBytes);

  return {
    name,
    async hasBlob({ digest, size }, signal) {
      signal.throwIfAborted();
      return blobs.get(digest) === size;
    },
    writeBlob: (blob, options) =>
      oneByOne(async () => {
        options.signal.throwIfAborted();
        const { digest, size } = blob.descriptor;
        if (blobs.has(digest)) return "present";
        const complete = (position: number, there: number): Promise<void> =>
          completeVerified(blob, { file, position, there }, options);
        const left = whole.get(digest);
        if (left !== undefined) {
          await complete(left.position, size);
        } else {
          const there = cut?.digest === digest ? cut.there : 0;
          cut = undefined;
          const write = (position: number): Promise<void> => complete(position, there);
          await append(blobPath(digest), size, write, there > 0);
        }
        blobs.set(digest, size);
        return left === undefined ? "sent" : "present";
      }),
    writeManifest: (manifest, tag, signal) =>
      oneByOne(async () => {
        signal.throwIfAborted();
        const { bytes, digest } = manifest;
        if (!matchesDigest(bytes, digest)) {
          throw new OcibundleError(
            "integrity",
            `manifest ${shortDigest(digest)}: the content does not match this digest`,
          );
        }
        if (!blobs.has(digest)) {
          const left = whole.get(digest);
          if (left === undefined) await appendBytes(blobPath(digest), bytes);
          else await writeAll(file, bytes, left.position);
          blobs.set(digest, bytes.byteLength);
        }
        index = withManifest(index, manifest, tag);
      }),
    commit: (signal) =>
      oneByOne(async () => {
        signal.throwIfAborted();
        await appendBytes(indexFileName, Buffer.from(formatLayoutIndex(index)));
        try {
          await file.truncate(end + endSize);
          await chmodAsNew(file, temporary.path);
          await file.sync();
          await close();
          await refuseOther(path);
          await rename(temporary.path, path);
          release();
        } catch (error) {
          throw unwritable(path, error);
        }
        await syncDirectory(dirname(path));
      }),
    async discard() {
      oneByOne.clearQueue();
      const isOfUse =
        wanted !== undefined && !isWrong && (await lengthOf(temporary.path)) > smallestOfUse;
      await close().catch(() => undefined);
      if (!isOfUse) await rm(temporary.path, { force: true }).catch(() => undefined);
      release();
    },
  };
}

/** An archive takes the place of an archive or of an empty file only. Throws `conflict`, `system`. */
async function refuseOther(path: string): Promise<void> {
  await refuseSpecial(path);
  const isDirectory = (await stat(path).catch(() => undefined))?.isDirectory() === true;
  if (!isDirectory) return refuseOtherContent(path, layoutArchive);
  throw new OcibundleError("conflict", `"${path}" is a directory, not an archive`, {
    hint: `use a file, or "oci:${path}" to write a layout`,
  });
}

/** Bytes of an archive that are worth going on from. */
const smallestOfUse = 1024 * 1024;

const lengthOf = async (path: string): Promise<number> =>
  (await stat(path).catch(() => undefined))?.size ?? 0;

async function begin(path: string, wanted: WantedBlobs = new Map()): Promise<UnfinishedArchive> {
  const place = besides(path);
  let temporary: OwnedTemp | undefined;
  try {
    await refuseOther(path);
    const unfinished = await takeUnfinished(place, wanted);
    await sweepOwnedTemps(place);
    if (unfinished !== undefined) return unfinished;
    temporary = ownTemp(place);
    const file = await createFile(temporary.path, readableMode);
    return { temporary, file, whole: new Map(), cut: undefined, end: 0 };
  } catch (error) {
    temporary?.release();
    throw unwritable(path, error);
  }
}
