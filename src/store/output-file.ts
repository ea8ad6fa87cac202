import { realpath } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { OcibundleError } from "../errors.ts";
import { faultCode, unwritable } from "../runtime/file-faults.ts";
import { isSpecial, writeToSpecial } from "../runtime/own-file.ts";
import { ownTemp } from "./locks/owned-temp.ts";
import { writeWhole } from "./verified-write.ts";

/** Whether a file is written to a path as to a stream: a device or a FIFO, or what the shell opened. */
export const isStreamed = async (path: string): Promise<boolean> =>
  path.startsWith("/dev/") || (await isSpecial(path));

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
  const code = faultCode(cause, "writing") ?? failure.code;
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
