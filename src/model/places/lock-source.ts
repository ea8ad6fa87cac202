import { stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { OcibundleError, amended, errno } from "../../errors.ts";
import { readDocument } from "../../runtime/read-document.ts";
import { hasScheme } from "../../image/source/source.ts";
import { unreadable } from "../weights/file-errors.ts";
import { weightFiles } from "../format/weight-names.ts";
import { maxLockBytes } from "../format/weights-lock.ts";
import { fileFault } from "../../runtime/file-faults.ts";

/** The lock that is used when none is named. */
export const defaultLock = "weights.lock";

/**
 * The bytes of a lock, when a source is one: a file that exists, or a name that ends in `.lock`.
 * A reference has such a name by accident only where a file stands in its way. Throws `file` for a path
 * to something else, `system` where this machine can't read it.
 */
export async function readLock(cwd: string, source: string): Promise<Uint8Array | undefined> {
  if (hasScheme(source)) return undefined;
  const isPath = source.endsWith(".lock") || /^\.{0,2}\//.test(source);
  let bytes: Uint8Array | undefined;
  try {
    bytes = await readLockFile(resolve(cwd, source), source);
  } catch (error) {
    const code = errno(fileFault(error));
    const isMissing = code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG";
    if (isPath && isMissing && !source.endsWith(".lock"))
      throw unreadable(source, fileFault(error));
    if (code === "EFBIG") throw notALock(source, error);
    if (isPath || !isMissing) throw error;
  }
  if (bytes === undefined && isPath) throw await aDirectory(cwd, source);
  if (bytes !== undefined && !source.endsWith(".lock") && !/^\s*\{/.test(beginning(bytes))) {
    throw notALock(source, new OcibundleError("file", `"${source}" is not a lock`));
  }
  return bytes;
}

/** What makes a model of weights that are only files yet. */
const buildHint = (directory: string): string =>
  `make a layout of the weights, and use oci:model: \`ocibundle lock ${directory}\`, then \`ocibundle build -o oci:model --weights ${directory}\``;

/** The same failure, with what the file is by its name: weights themselves are no source. */
function notALock(source: string, error: unknown): unknown {
  if (!(error instanceof OcibundleError)) return error;
  if (!weightFiles.test(source)) {
    return amended(error, {
      hint: `prefix an archive: oci-archive:${source} or docker-archive:${source}`,
    });
  }
  return amended(error, {
    reason: `"${source}" is a weight file: expected a reference, a layout, an archive or a lock`,
    hint: buildHint(dirname(source)),
  });
}

async function aDirectory(cwd: string, source: string): Promise<OcibundleError> {
  const isLayout = await stat(join(resolve(cwd, source), "oci-layout")).catch(() => undefined);
  return new OcibundleError("file", `"${source}" is a directory, not a lock`, {
    hint: isLayout === undefined ? buildHint(source) : `use oci:${source} for the layout`,
  });
}

/** Says that a lock is no place to take weights from. */
export const holdsNoBytes = (source: string): OcibundleError =>
  new OcibundleError("usage", `"${source}" is a lock, which has no content`, {
    hint: "use a reference, oci:DIR[:TAG] or oci-archive:FILE[:TAG]",
  });

/** The lock that `--lock` names, or the one of the working directory where there is one. Throws `file`, `system`. */
export async function readChosenLock(
  cwd: string,
  named: string | undefined,
): Promise<Uint8Array | undefined> {
  const name = named ?? defaultLock;
  try {
    const bytes = await readLockFile(resolve(cwd, name), name, named !== undefined);
    if (bytes !== undefined) return bytes;
  } catch (error) {
    if (named === undefined && errno(fileFault(error)) === "ENOENT") return undefined;
    throw error;
  }
  throw new OcibundleError("file", `"${name}" is a directory, not a lock`);
}

/**
 * The bytes of a lock file, or undefined for a directory. One that the user named may come through a pipe.
 * Throws `file` and `system`, with the system's error as cause.
 */
async function readLockFile(
  path: string,
  name: string,
  named = true,
): Promise<Uint8Array | undefined> {
  try {
    return await readDocument(path, { maxBytes: maxLockBytes, named });
  } catch (cause) {
    const code = errno(cause);
    if (code === "EISDIR") return undefined;
    if (code === "EFBIG") {
      throw new OcibundleError("file", `"${name}" is too large for a lock`, {
        hint: "run `ocibundle lock ./weights` to create a lock",
        cause,
      });
    }
    if (code !== "ENOENT") throw unreadable(name, cause);
    throw new OcibundleError("file", `the lock "${name}" does not exist`, {
      hint: "run `ocibundle lock ./weights` to create it",
      cause,
    });
  }
}

const beginning = (bytes: Uint8Array): string => new TextDecoder().decode(bytes.subarray(0, 64));
