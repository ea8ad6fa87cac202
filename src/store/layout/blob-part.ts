import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { BlobToMove } from "../../oci/content.ts";
import { digestHex } from "../../oci/digest.ts";
import { removeUnheld } from "../locks/owned-temp.ts";
import { tryLockWherePossible } from "../locks/where-possible.ts";
import { chmodAsNew, openOwnFile, readableMode, replaceFile } from "../../runtime/own-file.ts";
import {
  completeVerified,
  type CopyOptions,
  isIntegrity,
  refuseSpecial,
  syncDirectory,
} from "../verified-write.ts";
import { ownPrefix } from "../placement/dest-rule.ts";
import { unwritable } from "../../runtime/file-faults.ts";

/** From this size on, in bytes, what was written of a blob is worth going on from. */
export const smallestPart = 1024 * 1024;

const partPattern = /^\.ocibundle-[0-9a-f]{64,128}\.part$/;
const lockSuffix = ".lock";

const withoutLock = (name: string): string => name.replace(/\.lock(?:\.holder)?$/, "");

/** Whether a name in a layout's directory is that of a part, or of its lock. */
export const isBlobPart = (name: string): boolean => partPattern.test(withoutLock(name));

/**
 * Writes a blob to `path` through a part in the layout's directory that a later run goes on from: it is as
 * long as what was written. The blob has its name when it is whole, right and flushed. Undefined where
 * another process is at the same blob, or nothing can be locked.
 *
 * Throws as `completeVerified`, and as `unwritable` where it can't be written; the part stays unless its bytes are
 * wrong.
 */
export async function writeThroughPart(
  directory: string,
  path: string,
  blob: BlobToMove,
  options: CopyOptions,
): Promise<"written" | undefined> {
  const part = join(directory, `${ownPrefix}${digestHex(blob.descriptor.digest)}.part`);
  const lock = tryLockWherePossible(part + lockSuffix);
  if (lock === undefined) return undefined;
  try {
    await grow(part, blob, options);
    await mkdir(dirname(path), { recursive: true });
    await refuseSpecial(path);
    await rename(part, path);
    await syncDirectory(dirname(path));
    return "written";
  } catch (error) {
    throw unwritable(path, error);
  } finally {
    lock.release();
  }
}

/** Removes the parts that nobody is at: what a run that was killed has left of blobs that are not wanted now. */
export async function sweepBlobParts(directory: string): Promise<void> {
  for (const name of new Set((await readdir(directory)).filter(isBlobPart).map(withoutLock))) {
    const part = join(directory, name);
    await removeUnheld(part, part + lockSuffix);
  }
}

async function grow(part: string, blob: BlobToMove, options: CopyOptions): Promise<void> {
  const file = (await openOwnFile(part)) ?? (await replaceFile(part, readableMode));
  try {
    const { size: there } = await file.stat();
    const place = { file, position: 0, there };
    if (there > blob.descriptor.size) await file.truncate(0);
    await completeVerified(blob, place, options);
    await chmodAsNew(file, part);
    await file.sync();
  } catch (error) {
    if (isIntegrity(error)) await rm(part, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}
