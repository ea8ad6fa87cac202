import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { OcibundleError, errno } from "../errors.ts";

/** The lock that is used when none is named. */
export const defaultLock = "weights.lock";

/**
 * The bytes of a lock, when a source is one: a file that exists, or a name that ends in `.lock`.
 * A reference has such a name by accident only where a file stands in its way.
 */
export async function readLock(cwd: string, source: string): Promise<Uint8Array | undefined> {
  if (/^(?:oci|oci-archive|docker|docker-archive|docker-daemon):/.test(source)) return undefined;
  try {
    return await readFile(resolve(cwd, source));
  } catch (cause) {
    const unreadable = errno(cause) === "EACCES" || errno(cause) === "EPERM";
    if (!source.endsWith(".lock") && !unreadable) return undefined;
    throw unreadableLock(source, cause);
  }
}

/** The lock that `--lock` names, or the one of the working folder where there is one. */
export async function readChosenLock(
  cwd: string,
  named: string | undefined,
): Promise<Uint8Array | undefined> {
  const name = named ?? defaultLock;
  try {
    return await readFile(resolve(cwd, name));
  } catch (cause) {
    if (named === undefined && errno(cause) === "ENOENT") return undefined;
    throw unreadableLock(name, cause);
  }
}

function unreadableLock(name: string, cause: unknown): OcibundleError {
  if (errno(cause) === "ENOENT") {
    return new OcibundleError("file", `the lock "${name}" does not exist`, {
      hint: "write it with `ocibundle lock`",
      cause,
    });
  }
  const what = errno(cause) === "EISDIR" ? "is a folder, not a lock" : "can't be read";
  return new OcibundleError("file", `"${name}" ${what}`, { cause });
}
