import { lstat, mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { runtime } from "../../runtime/current.ts";

/**
 * Puts a new file or directory in the place of an old one, which is at `staged` afterwards. In one step where the
 * system can exchange two names (Linux: renameat2); else the name is missing for a moment, and what was there is
 * below `aside` meanwhile: see `bringBack`. Throws errno errors.
 */
export async function exchange(path: string, staged: string, aside: string): Promise<void> {
  if ((await lstat(path).catch(() => undefined)) === undefined) return rename(staged, path);
  if (await runtime.exchange(path, staged)) return undefined;
  await mkdir(aside, { recursive: true });
  const old = join(aside, encodeURIComponent(path));
  await rename(path, old);
  await rename(staged, path);
  await rename(old, staged);
  return undefined;
}

/** Gives back its name to what a run that was killed had put aside. Throws errno errors. */
export async function bringBack(aside: string): Promise<void> {
  for (const name of await readdir(aside).catch(() => [])) {
    const path = decodeURIComponent(name);
    const isFree = (await lstat(path).catch(() => undefined)) === undefined;
    if (isFree) await rename(join(aside, name), path);
  }
}
