import type { Stats } from "node:fs";
import { errno, OcibundleError } from "../../errors.ts";
import { isRefusedBySystem, unreadableBecause } from "../../runtime/read-document.ts";

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
  return new OcibundleError("file", `"${path}" is ${kind}, and can't be a weight file`);
}

/** The error for a file or directory that could not be looked at. */
export function unreadable(path: string, cause: unknown): OcibundleError {
  const code = errno(cause);
  const fault =
    code === "ENOENT" && path.includes("\uFFFD")
      ? "has a name that is not UTF-8"
      : code === "ENOENT" || code === "ENOTDIR"
        ? "does not exist"
        : code === "EACCES" || code === "EPERM"
          ? "can't be read: permission denied"
          : code === "ENOTREG" || code === "EFBIG" || code === "EISDIR"
            ? unreadableBecause(cause)
            : `can't be read: ${(cause as Error).message}`;
  const kind = isRefusedBySystem(cause) ? "system" : "file";
  return new OcibundleError(kind, `"${path}" ${fault}`, { cause });
}
