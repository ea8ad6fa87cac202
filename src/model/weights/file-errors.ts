import type { Stats } from "node:fs";
import { errno, OcibundleError } from "../../errors.ts";
import { readingCode, unreadableBecause } from "../../runtime/file-faults.ts";

/** The error for something that is neither a file nor a directory. */
export function notAFile(
  path: string,
  stats: Pick<Stats, "isSocket" | "isFIFO" | "isBlockDevice" | "isCharacterDevice">,
): OcibundleError {
  const kind = stats.isSocket()
    ? "a socket"
    : stats.isFIFO()
      ? "a named pipe"
      : stats.isBlockDevice() || stats.isCharacterDevice()
        ? "a device"
        : "neither a file nor a directory";
  return new OcibundleError("file", `"${path}" is ${kind}, not a weight file`, {
    hint: "exclude it with --exclude, or remove it",
  });
}

/** The error for a file or directory that could not be looked at. */
export function unreadable(path: string, cause: unknown): OcibundleError {
  // A name that is not UTF-8 comes with U+FFFD in it, and then names nothing.
  const isNotUtf8 = errno(cause) === "ENOENT" && path.includes("\uFFFD");
  const fault = isNotUtf8 ? "has a name that is not UTF-8" : unreadableBecause(cause);
  return new OcibundleError(readingCode(cause), `"${path}" ${fault}`, { path, cause });
}
