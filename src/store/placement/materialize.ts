import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { link, lstat, open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { OcibundleError, errno } from "../../errors.ts";
import { chmodAsNew, cloneFile, createFile } from "../../runtime/own-file.ts";
import { isTrusted } from "../../runtime/trusted-file.ts";
import { type Digest, digestHex, hasherFor } from "../../oci/digest.ts";
import { runtime } from "../../runtime/current.ts";
import { fileChunks } from "../file-chunks.ts";
import type { TargetDirectory } from "./target-directory.ts";
import { writeAll } from "../verified-write.ts";
import { partName } from "./dest-rule.ts";
import { unwritable } from "../../runtime/file-faults.ts";

/**
 * How a file came from the cache to its place.
 * - `reflink`: a file of its own that shares its blocks until one of the two is changed
 * - `hard link`: another name of the cache's file, read-only as that is
 * - `copy`: a file of its own
 */
export type MaterializeWay = "reflink" | "hard link" | "copy";

/** How a cached file may be placed. */
export interface MaterializeOptions {
  signal: AbortSignal;
  /** Whether a file that is there already is replaced. Otherwise it is an error. */
  replace: boolean;
  /** Called with the number of further bytes copied; not at all when nothing is copied. */
  onBytes?: ((bytes: number) => void) | undefined;
  /** The name that the file has until it is whole, where others may use the usual one at the same time. */
  temporary?: string | undefined;
  /** The ways that may be used, in this order: all unless said otherwise. */
  ways?: readonly MaterializeWay[];
  /** Set where another user can change the cached file: it is copied, and the copy must have this digest. */
  verify?: Digest | undefined;
}

const allWays: readonly MaterializeWay[] = ["reflink", "hard link", "copy"];

/** The name in the same directory under which a file grows until it is whole; the same for each run. */
export const temporaryName = (name: string): string =>
  partName(createHash("sha256").update(name).digest("hex"));

/**
 * Puts the bytes of a cached file under a name in a directory, by the cheapest way that works there, and
 * says which. The name appears at once and whole. A file of its own gets the permissions that the
 * umask gives a new file. Its bytes are flushed then, its name is once the directory is. What an earlier
 * run left under `temporaryName` is removed: two runs must not write the same name at once.
 *
 * Throws `conflict` when the name is taken and `replace` is false, `file`, `system` or `conflict` when it can't be
 * written, `not_found` when the cached file is gone.
 */
export async function materialize(
  source: string,
  directory: TargetDirectory,
  name: string,
  options: MaterializeOptions,
): Promise<MaterializeWay> {
  const temporary = directory.at(options.temporary ?? temporaryName(name));
  try {
    await rm(temporary, { force: true });
    const way = await place(source, temporary, options);
    await revealFile(temporary, directory.at(name), options.replace);
    return way;
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    const shown = join(directory.path, name);
    if (errno(error) === "EEXIST") {
      throw new OcibundleError("conflict", `"${shown}" already exists`, { cause: error });
    }
    if (errno(error) === "ENOENT" && (await stat(source).catch(() => undefined)) === undefined) {
      throw new OcibundleError("not_found", `"${source}" is no longer in the cache`, {
        cause: error,
      });
    }
    throw unwritable(shown, error);
  }
}

async function place(
  source: string,
  temporary: string,
  options: MaterializeOptions,
): Promise<MaterializeWay> {
  const { signal } = options;
  const ways = options.verify === undefined ? (options.ways ?? allWays) : (["copy"] as const);
  for (const way of ways) {
    signal.throwIfAborted();
    if (way === "copy") {
      await copy(source, temporary, options);
      return way;
    }
    try {
      await (way === "reflink" ? reflink(source, temporary) : hardLink(source, temporary));
      return way;
    } catch (error) {
      if (way === ways.at(-1) || !isImpossibleWay(error)) throw error;
    }
  }
  throw new TypeError("no way to materialize a file was given");
}

/** What says that a file can't be linked or cloned from one place to another, and not that something is wrong. */
export const unlinkable: ReadonlySet<string> = new Set([
  "ENOTSUP",
  "EOPNOTSUPP",
  "ENOSYS",
  "ENOTTY",
  "EINVAL",
  "EXDEV",
]);

/**
 * What says, of all ways, that one does not work between these two places.
 * EPERM is also how Linux refuses a hard link to another user's file (proc(5), protected_hardlinks).
 */
const impossible: ReadonlySet<string> = new Set([
  ...unlinkable,
  "EPERM",
  "EACCES",
  "EMLINK",
  "ETXTBSY",
]);

/** Whether an error of a link says only that the way does not work between two places. */
export const isImpossibleWay = (error: unknown): boolean => impossible.has(errno(error) ?? "");

/** EPERM where somebody put another user's file in the source's place meanwhile. */
async function hardLink(source: string, temporary: string): Promise<void> {
  await link(source, temporary);
  const stats = await lstat(temporary);
  if (stats.isFile() && isTrusted(stats)) return;
  await rm(temporary, { force: true });
  throw Object.assign(new Error(`"${source}" belongs to another user`), { code: "EPERM" });
}

async function reflink(source: string, temporary: string): Promise<void> {
  // Without the flags `copyFile` would copy, and take as long.
  if (!runtime.clonesFiles) throw Object.assign(new Error("no reflinks"), { code: "ENOTSUP" });
  try {
    await cloneFile(source, temporary);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  // The copy has the source's mode, which is read-only: opened for reading it can still be changed.
  const file = await open(
    temporary,
    constants.O_RDONLY | constants.O_NOFOLLOW | (constants.O_NONBLOCK ?? 0),
  );
  try {
    await chmodAsNew(file, temporary);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function copy(
  source: string,
  temporary: string,
  { signal, onBytes, verify }: MaterializeOptions,
): Promise<void> {
  const { size } = await stat(source);
  const file = await createFile(temporary);
  try {
    let position = 0;
    const hash = verify === undefined ? undefined : hasherFor(verify);
    for await (const chunk of fileChunks(source, 0, size, signal)) {
      hash?.update(chunk);
      await writeAll(file, chunk, position);
      position += chunk.byteLength;
      onBytes?.(chunk.byteLength);
    }
    if (position !== size) {
      throw new OcibundleError("integrity", `"${source}" was truncated while it was copied`);
    }
    if (verify !== undefined && hash?.digest("hex") !== digestHex(verify)) {
      throw new OcibundleError("integrity", `"${source}" was changed while it was copied`, {
        hint: "set OCIBUNDLE_CACHE to a directory of your own: another user can write this file",
      });
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Gives a whole, flushed file its final name; rejects with EEXIST where it is taken and not to be replaced. */
export async function revealFile(temporary: string, path: string, replace: boolean): Promise<void> {
  if (replace) {
    await rename(temporary, path);
  } else {
    await renameIfFree(temporary, path);
  }
  // Renaming onto another hard link of the same file does nothing (rename(2)), and linking leaves it.
  await rm(temporary, { force: true });
}

/** `rename` takes the place of what is there; `link` is the call that does not. */
async function renameIfFree(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (error) {
    if (!isImpossibleWay(error)) throw error;
    const there = await lstat(path).catch(() => undefined);
    if (there !== undefined) throw Object.assign(new Error("exists"), { code: "EEXIST" });
    await rename(temporary, path);
  }
}
