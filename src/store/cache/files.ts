import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { OcibundleError, errno } from "../../errors.ts";
import { createFile, directoryMode, openOwnFile, readableMode } from "../../runtime/own-file.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import { cacheDirectories } from "./directory.ts";
import { sweepTempFiles } from "./temp.ts";

/** bford.info/cachedir: backups leave a directory with this file out. */
const tagFile = "CACHEDIR.TAG";
const tagText = `Signature: 8a477f597d28d172789f06886806bc55
# This directory is the cache of ocibundle. Its content can be downloaded again.
`;

/** Makes the cache's directories, and removes the temporary files that ended processes left there. */
export async function makeDirectories(root: string): Promise<void> {
  const directories = cacheDirectories(root);
  for (const directory of Object.values(directories)) {
    await mkdir(directory, { recursive: true, mode: directoryMode });
  }
  await sweepTempFiles(directories.temp, directories.locks);
  try {
    const file = await createFile(join(root, tagFile), readableMode);
    try {
      await file.writeFile(tagText);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errno(error) !== "EEXIST") throw error;
  }
}

/** Removes a journal, and the next one where its writer was killed before it had its name. */
export async function removeJournal(path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(`${path}.new`, { force: true });
}

/**
 * Flushes a verified file and takes its write permission away, for it may become a hard link that
 * somebody edits. Returns its time of change in milliseconds. Throws `integrity` when its size is wrong.
 */
export async function makeReady(path: string, digest: Digest, size: number): Promise<number> {
  const file = await openOwnFile(path);
  if (file === undefined) {
    throw new OcibundleError("integrity", `the file for ${shortDigest(digest)} was replaced`);
  }
  try {
    const stats = await file.stat();
    if (stats.size !== size) {
      throw new OcibundleError(
        "integrity",
        `the file for ${shortDigest(digest)} has ${stats.size} bytes, expected ${size}`,
      );
    }
    // Before the permission goes: a run that is killed in here leaves what the next one can go on with.
    await file.sync();
    // What the umask left of the permissions to read is kept.
    await file.chmod(stats.mode & 0o444);
    await file.sync();
    return Math.floor(stats.mtimeMs);
  } finally {
    await file.close();
  }
}
