import { type FileHandle, readFile } from "node:fs/promises";
import { relative, resolve } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { refuseOtherContent } from "../../store/output-file.ts";
import { cogLockOf, type CogLockEntry, isCogLock } from "../format/cog-lock.ts";
import { maxLockBytes, rfc3339 } from "../format/weights-lock.ts";
import { checkWritable, lockHints, writeLockBytes } from "../lock/write-lock-file.ts";

/** What a new lock of Cog's may take the place of. */
const earlierLock = {
  what: "a Cog lock",
  async isOne(file: FileHandle, size: number): Promise<boolean> {
    return size <= maxLockBytes && isCogLock(await file.readFile());
  },
};

/**
 * Refuses `--cog-lock` for what is written in another layout, and for a file that is something else, before
 * anything is sent. Throws `usage`, `conflict`, `system`.
 */
export async function checkCogLock(
  cwd: string,
  path: string | undefined,
  layout: string | undefined,
): Promise<void> {
  if (path === undefined) return;
  if (layout === "cog") {
    await refuseOtherContent(resolve(cwd, path), earlierLock);
    return checkWritable(resolve(cwd, path), lockHints.cog);
  }
  throw new OcibundleError("usage", "--cog-lock needs the layout cog", {
    hint: "add --layout cog, or remove --cog-lock",
  });
}

/**
 * Writes Cog's lock of what was pushed. A lock that says the same of the weights keeps its time, and so its
 * bytes. `directory` is where the weights lie, for the source that Cog is to look at. Throws `file`, `system`.
 */
export async function writeCogLock(
  cwd: string,
  path: string | undefined,
  {
    entries,
    directory,
  }: { entries: readonly CogLockEntry[] | undefined; directory: string | undefined },
): Promise<void> {
  if (path === undefined || entries === undefined) return;
  const place = directory === undefined ? "" : relative(cwd, resolve(cwd, directory));
  const uri = place === "" ? "file://." : `file://./${place.replaceAll("\\", "/")}`;
  const target = resolve(cwd, path);
  const bytesAt = (importedAt: string): Uint8Array => cogLockOf(entries, { uri, importedAt });
  const old = await readFile(target, "utf8").catch(() => "");
  const time = /"importedAt": "([^"]+)"/.exec(old)?.[1];
  if (time !== undefined && Buffer.compare(bytesAt(time), Buffer.from(old)) === 0) return;
  await writeLockBytes(target, bytesAt(rfc3339(new Date())), lockHints.cog);
}
