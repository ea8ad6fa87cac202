import { type FileHandle, realpath } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { errno, OcibundleError } from "../errors.ts";
import { isMissing, unwritable } from "../runtime/file-faults.ts";
import { openRegular } from "../runtime/regular-file.ts";
import { isSpecial, writeToSpecial } from "../runtime/special-file.ts";
import { ownTemp } from "./locks/owned-temp.ts";
import { writeWhole } from "./verified-write.ts";

/** Below `/dev`, but a directory for files as any other. */
const memoryDirectory = "/dev/shm/";

/** Whether a file is written to a path as to a stream: a device or a FIFO, or what the shell opened. */
export const isStreamed = async (path: string): Promise<boolean> =>
  (path.startsWith("/dev/") && !path.startsWith(memoryDirectory)) || (await isSpecial(path));

/** What a file may be that another one takes the place of. */
export interface Replaceable {
  /** What it is called, with its article. */
  what: string;
  /** Whether an open file of this many bytes is one. */
  isOne(file: FileHandle, size: number): Promise<boolean>;
}

/**
 * Throws `conflict` where a file with content is there that is not what is to be written: it is somebody's, and
 * the name most likely a slip. An empty file may be replaced, and a device or a FIFO is not. Throws `system`
 * where it can't be read, since nobody knows then what it is.
 */
export async function refuseOtherContent(
  path: string,
  { what, isOne }: Replaceable,
): Promise<void> {
  if (await isStreamed(path)) return;
  const fine = await holdsNothingElse(path, isOne).catch((error: unknown) => {
    throw unwritable(path, error);
  });
  if (fine) return;
  throw new OcibundleError("conflict", `"${path}" exists and is not ${what}`, {
    hint: "use the path of another file, or remove this one",
  });
}

async function holdsNothingElse(path: string, isOne: Replaceable["isOne"]): Promise<boolean> {
  let file: FileHandle;
  try {
    file = await openRegular(path);
  } catch (error) {
    // What else is wrong with the path is said by what writes to it.
    if (isMissing(error) || ["EISDIR", "ENOTREG"].includes(errno(error) ?? "")) return true;
    throw error;
  }
  try {
    const stats = await file.stat();
    return stats.size === 0 || (await isOne(file, stats.size));
  } finally {
    await file.close();
  }
}

/**
 * Writes a file that a user named, whole or not at all, where it lies: a link to it stays a link, and a
 * device or a FIFO stays what it is. `hint` says what to do where this machine refuses. Throws `file`,
 * `system`.
 */
export async function writeOutputFile(
  path: string,
  bytes: Uint8Array,
  hint: string,
): Promise<void> {
  if (await isStreamed(path)) {
    try {
      return await writeToSpecial(path, bytes);
    } catch (error) {
      throw unwritable(path, error);
    }
  }
  const { target, ...place } = await outputPlace(path);
  const temporary = ownTemp(place);
  try {
    await writeWhole(target, temporary.path, (file) => file.writeFile(bytes));
  } catch (error) {
    throw error instanceof OcibundleError ? outputFault(path, error.cause ?? error, hint) : error;
  } finally {
    temporary.release();
  }
}

/** A failure to write the file at `path`, in words, with `hint` where this machine refuses. */
export function outputFault(path: string, error: unknown, hint: string): unknown {
  const failure = unwritable(path, error);
  if (!(failure instanceof OcibundleError)) return failure;
  const { message, cause } = failure;
  const { code } = failure;
  return new OcibundleError(code, message, {
    hint: code === "system" ? hint : failure.hint,
    cause,
  });
}

/** Where the file of a path really lies, and what its temporary files are called. */
export async function outputPlace(
  path: string,
): Promise<{ target: string; directory: string; prefix: string }> {
  const target = await realpath(path).catch(() => path);
  return { target, directory: dirname(target), prefix: `.${basename(target)}-` };
}
