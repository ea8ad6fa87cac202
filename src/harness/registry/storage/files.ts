import { mkdir, readdir, readFile, rename, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errno } from "../../../errors.ts";
import { createFile, directoryMode, readableMode } from "../../../runtime/own-file.ts";
import { syncDirectory } from "../../../store/verified-write.ts";
import { writeFlushed } from "../../../runtime/write-flushed.ts";

const isMissing = (error: unknown): boolean =>
  // A file where a directory should be is as good as nothing there; neither is a name no file can have.
  ["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(errno(error) ?? "");

/** The file's size in bytes; undefined when there is no such file. */
export async function fileSize(path: string): Promise<number | undefined> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Whether a path leads to a directory; a path that is missing does not. */
export async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** Reads a small file of the storage's own; undefined when there is no such file. */
export async function readSmall(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Names in a directory, unordered; none when there is no such directory. */
export async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Runs `make`, and once more with the file's directory made first where that was missing. */
export async function withDirectory<Made>(path: string, make: () => Promise<Made>): Promise<Made> {
  try {
    return await make();
  } catch (error) {
    if (errno(error) !== "ENOENT") throw error;
    await mkdir(dirname(path), { recursive: true, mode: directoryMode });
    return make();
  }
}

/**
 * Writes a small file so that its name never shows half of it, making its directory where it is missing.
 * It is flushed, and so is its name.
 */
export async function replaceSmall(path: string, content: string): Promise<void> {
  const temporary = join(dirname(path), `.${crypto.randomUUID()}.tmp`);
  await withDirectory(path, () => writeFlushed(temporary, content));
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** Makes an empty file whose being there says it all, and flushes its name. */
export const touch = (path: string): Promise<void> =>
  withDirectory(path, async () => {
    const file = await createFile(path, readableMode).catch((error: unknown) => {
      if (errno(error) !== "EEXIST") throw error;
    });
    if (file === undefined) return;
    await file.close();
    await syncDirectory(dirname(path));
  });

/** Whether there was such a file to remove. */
export async function removed(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** Removes the files of a directory that were last changed before `before` (milliseconds since 1970). */
export async function removeStale(directory: string, before: number): Promise<void> {
  for (const name of await namesIn(directory)) {
    const path = join(directory, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && found.mtimeMs < before) await removed(path);
  }
}
