import { Buffer } from "node:buffer";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import pLimit from "p-limit";
import { OcibundleError } from "../../errors.ts";
import type { ContentWriter } from "../../oci/content.ts";
import { type Digest, matchesDigest, shortDigest } from "../../oci/digest.ts";
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
import { besides, type OwnedTemp, ownTemp, sweepOwnedTemps } from "../owned-temp.ts";
import { copyVerified, syncFolder, unwritable, writeAll } from "../verified-write.ts";

/** An archive of an OCI image layout that is being written. It has its name only after `commit`. */
export interface LayoutArchiveWriter extends ContentWriter {
  /** Ends the archive, flushes it and puts it under its name, in place of what was there. */
  commit(signal: AbortSignal): Promise<void>;
  /** Removes what was written when it was not committed. Never throws. */
  discard(): Promise<void>;
}

/**
 * Begins an archive of a layout at `path`. Blobs are written as they come, one after the other.
 *
 * Only names, sizes and content are in it: the same calls in the same order give the same bytes.
 * Throws `file` when it can't be written.
 */
export async function createLayoutArchive(
  path: string,
  name = `oci-archive:${path}`,
): Promise<LayoutArchiveWriter> {
  const { temporary, file } = await begin(path);
  /** An archive has one end, so one entry is written at a time. */
  const oneByOne = pLimit(1);
  const blobs = new Map<Digest, number>();
  let index = emptyIndex();
  let end = 0;
  let isOpen = true;

  const append = async (
    entry: string,
    size: number,
    write: (position: number) => Promise<void>,
  ): Promise<void> => {
    try {
      await writeAll(file, entryHeader(entry, size), end);
      await write(end + blockSize);
      end += blockSize + size + paddingAfter(size);
    } catch (error) {
      throw unwritable(path, error);
    } finally {
      // Padding is zero bytes, and what a failed entry left must not stay behind the end.
      if (isOpen) await file.truncate(end);
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

  await appendBytes(layoutFileName, layoutFileBytes);

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
        await append(blobPath(digest), size, (position) =>
          copyVerified(blob, file, position, options),
        );
        blobs.set(digest, size);
        return "sent";
      }),
    writeManifest: (manifest, tag, signal) =>
      oneByOne(async () => {
        signal.throwIfAborted();
        const { bytes, digest } = manifest;
        if (!matchesDigest(bytes, digest)) {
          throw new OcibundleError(
            "integrity",
            `manifest ${shortDigest(digest)}: its bytes do not have this digest`,
          );
        }
        if (!blobs.has(digest)) {
          await appendBytes(blobPath(digest), bytes);
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
          await file.sync();
          await close();
          await rename(temporary.path, path);
          release();
        } catch (error) {
          throw unwritable(path, error);
        }
        await syncFolder(dirname(path));
      }),
    async discard() {
      oneByOne.clearQueue();
      await close().catch(() => undefined);
      await rm(temporary.path, { force: true }).catch(() => undefined);
      release();
    },
  };
}

async function begin(path: string): Promise<{ temporary: OwnedTemp; file: FileHandle }> {
  const { folder, prefix } = besides(path);
  let temporary: OwnedTemp | undefined;
  try {
    await mkdir(folder, { recursive: true });
    await sweepOwnedTemps(folder, prefix);
    temporary = ownTemp(folder, prefix);
    return { temporary, file: await open(temporary.path, "wx+") };
  } catch (error) {
    temporary?.release();
    throw unwritable(path, error);
  }
}
