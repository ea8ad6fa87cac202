import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { OcibundleError } from "../../errors.ts";
import type { ContentWriter } from "../../oci/content.ts";
import { type Digest, matchesDigest, shortDigest } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { isBlobPart, smallestPart, sweepBlobParts, writeThroughPart } from "./blob-part.ts";
import {
  blobPath,
  emptyIndex,
  formatLayoutIndex,
  indexFileName,
  type LayoutIndex,
  layoutFileBytes,
  layoutFileName,
  parseLayoutIndex,
  withManifest,
  childDigests,
} from "./documents.ts";
import { lockFile } from "../locks/wait-for-lock.ts";
import { whereLockable } from "../locks/where-possible.ts";
import { readDocument, type LayoutReader, layoutReader } from "./reader.ts";
import { isOwnedTemp, ownTemp, sweepOwnedTemps } from "../locks/owned-temp.ts";
import { copyVerified, writeAll, writeWhole } from "../verified-write.ts";
import { ownPrefix } from "../placement/dest-rule.ts";
import { unwritable } from "../../runtime/file-faults.ts";
import { directoryFiles } from "./directory-files.ts";

/** An OCI image layout in a directory that can be read and written. */
export interface OciLayout extends LayoutReader, Omit<ContentWriter, "blobSource"> {
  /**
   * Everything that is wanted is there: lists the manifests that were written without a tag, and removes
   * what earlier runs have left. Until then `index.json` does not name them, so that a run that breaks off
   * leaves no image that looks whole. Throws errno errors.
   */
  commit(signal: AbortSignal): Promise<void>;
}

/**
 * Opens a layout directory for writing and makes it where there is none. Throws `conflict` for a directory with
 * other things in it, and as `unwritable` where it can't be written.
 */
export async function createLayout(
  directory: string,
  signal: AbortSignal,
  name = `oci:${directory}`,
): Promise<OciLayout> {
  try {
    await mkdir(directory, { recursive: true });
    await prepare(directory, name, signal);
  } catch (error) {
    throw unwritable(directory, error);
  }
  const files = directoryFiles(directory, name);
  const reader = await layoutReader(files);
  /** Manifests that `commit` lists, unless an index that was written lists them. */
  const untagged = new Map<Digest, RawManifest>();
  const reachable = new Set<Digest>();
  const has = async (digestPath: string, size: number): Promise<boolean> =>
    (await files.locate(digestPath))?.size === size;

  return {
    ...reader,
    async hasBlob({ digest, size }, writeSignal) {
      writeSignal.throwIfAborted();
      return has(blobPath(digest), size);
    },
    async writeBlob(blob, options) {
      const { digest, size } = blob.descriptor;
      if (await has(blobPath(digest), size)) return "present";
      const path = join(directory, ...blobPath(digest).split("/"));
      const isWritten =
        size >= smallestPart &&
        (await writeThroughPart(directory, path, blob, options)) !== undefined;
      if (!isWritten) {
        await writeFileInto(directory, blobPath(digest), (file) =>
          copyVerified(blob, file, 0, options),
        );
      }
      return "sent";
    },
    async readTag(tag, readSignal) {
      try {
        return await reader.readManifest(tag, readSignal);
      } catch (error) {
        if (error instanceof OcibundleError && error.code === "not_found") return undefined;
        throw error;
      }
    },
    async writeManifest(manifest, tag, writeSignal) {
      const { bytes, digest } = manifest;
      writeSignal.throwIfAborted();
      if (!matchesDigest(bytes, digest)) {
        throw new OcibundleError(
          "integrity",
          `manifest ${shortDigest(digest)}: the content does not match this digest`,
        );
      }
      if (!(await has(blobPath(digest), bytes.byteLength))) {
        await writeFileInto(directory, blobPath(digest), (file) => writeAll(file, bytes, 0));
      }
      for (const child of childDigests(manifest)) reachable.add(child);
      if (tag === undefined) {
        untagged.set(digest, manifest);
        return;
      }
      await updateIndex(directory, name, writeSignal, (index) =>
        withManifest(index, manifest, tag),
      );
    },
    async commit(writeSignal) {
      const listed = [...untagged.values()].filter(({ digest }) => !reachable.has(digest));
      if (listed.length > 0) {
        await updateIndex(directory, name, writeSignal, (index) =>
          listed.reduce((before, manifest) => withManifest(before, manifest, undefined), index),
        );
      }
      untagged.clear();
      await sweepBlobParts(directory);
    },
  };
}

const temporaryPrefix = ownPrefix;
const lockName = "index.json.lock";

async function prepare(directory: string, name: string, signal: AbortSignal): Promise<void> {
  const entries = await readdir(directory);
  if (!entries.includes(layoutFileName)) {
    const others = entries.filter(
      (entry) =>
        !isOwnedTemp(entry, temporaryPrefix) && !isBlobPart(entry) && !entry.startsWith(lockName),
    );
    // Another process may have made the layout since the directory was read.
    if (
      others.length > 0 &&
      !others.includes(layoutFileName) &&
      !(await exists(join(directory, layoutFileName)))
    ) {
      throw new OcibundleError("conflict", `${name}: the directory contains other files`, {
        hint: "use a new or empty directory, or an OCI image layout",
      });
    }
    await writeFileInto(directory, layoutFileName, (file) => writeAll(file, layoutFileBytes, 0));
  }
  if (!entries.includes(indexFileName)) {
    await updateIndex(directory, name, signal, (index) => index);
  }
  await sweepOwnedTemps({ directory: directory, prefix: temporaryPrefix });
}

/** Changes `index.json` in one step: no other process changes it in between, no reader sees a part of it. */
async function updateIndex(
  directory: string,
  name: string,
  signal: AbortSignal,
  change: (index: LayoutIndex) => LayoutIndex,
): Promise<void> {
  const files = directoryFiles(directory, name);
  const update = async (): Promise<void> => {
    const place = await files.locate(indexFileName);
    const index =
      place === undefined
        ? undefined
        : parseLayoutIndex(await readDocument(place, `${name}: ${indexFileName}`), name);
    const before = index === undefined ? undefined : formatLayoutIndex(index);
    const after = formatLayoutIndex(change(index ?? emptyIndex()));
    // Bytes that say the same stay as another tool wrote them.
    if (before === after) return;
    const bytes = new TextEncoder().encode(after);
    await writeFileInto(directory, indexFileName, (file) => writeAll(file, bytes, 0));
  };
  const lock = await whereLockable(() => lockFile(join(directory, lockName), { signal }));
  try {
    await update();
  } finally {
    lock?.release();
  }
}

async function writeFileInto(
  directory: string,
  file: string,
  write: Parameters<typeof writeWhole>[2],
): Promise<void> {
  const path = join(directory, ...file.split("/"));
  try {
    await mkdir(join(path, ".."), { recursive: true });
  } catch (error) {
    throw unwritable(path, error);
  }
  const temporary = ownTemp({ directory: directory, prefix: temporaryPrefix });
  try {
    await writeWhole(path, temporary.path, write);
  } finally {
    temporary.release();
  }
}

const exists = async (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
