import { constants } from "node:fs";
import { access, realpath } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { isSpecial, writeToSpecial } from "../../runtime/own-file.ts";
import { ownTemp, sweepOwnedTemps } from "../../store/locks/owned-temp.ts";
import { writeWhole } from "../../store/verified-write.ts";
import { serializeWeightsLock, type WeightsLock } from "../format/weights-lock.ts";
import { faultCode, unwritable } from "../../runtime/file-faults.ts";

/** Whether a lock is written to a path as to a stream: a device or a FIFO, or what the shell opened. */
export const isStreamed = async (path: string): Promise<boolean> =>
  path.startsWith("/dev/") || (await isSpecial(path));

/**
 * Throws where a lock can't be written, which is said before hours of hashing and not after them:
 * `system` where this machine refuses, `file` where the directory is missing.
 */
export async function checkWritable(path: string): Promise<void> {
  if (await isStreamed(path)) return;
  const { directory } = await placeOf(path);
  try {
    await access(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw notWritable(path, error);
  }
}

function notWritable(path: string, error: unknown): unknown {
  const failure = unwritable(path, error);
  if (!(failure instanceof OcibundleError)) return failure;
  const { message, cause } = failure;
  const code = faultCode(cause, "writing") ?? failure.code;
  const hint =
    code === "system" ? "name a lock in a writable directory with -o FILE" : failure.hint;
  return new OcibundleError(code, message, { hint, cause });
}

/**
 * Writes a lock where it lies: a link to it stays a link, and a device or a FIFO stays what it is. Throws
 * `file`, `system`.
 */
export const writeLockFile = (path: string, lock: WeightsLock): Promise<void> =>
  writeLockBytes(path, serializeWeightsLock(lock));

/** `writeLockFile` of a lock in another format. */
export async function writeLockBytes(path: string, bytes: Uint8Array): Promise<void> {
  if (await isStreamed(path)) {
    try {
      return await writeToSpecial(path, bytes);
    } catch (error) {
      throw unwritable(path, error);
    }
  }
  const { target, ...place } = await placeOf(path);
  const temporary = ownTemp(place);
  try {
    await writeWhole(target, temporary.path, (file) => file.writeFile(bytes));
  } catch (error) {
    throw error instanceof OcibundleError ? notWritable(path, error.cause ?? error) : error;
  } finally {
    temporary.release();
  }
}

/** Removes what killed runs have left beside a lock. Never throws. */
export async function sweepLockTemps(path: string): Promise<void> {
  if (await isStreamed(path)) return;
  await sweepOwnedTemps(await placeOf(path));
}

async function placeOf(path: string) {
  const target = await realpath(path).catch(() => path);
  return { target, directory: dirname(target), prefix: `.${basename(target)}-` };
}
