import { lstat, mkdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { OcibundleError } from "../../errors.ts";
import {
  imageTempPrefix,
  type OwnedTemp,
  ownTemp,
  sweepOwnedTemps,
  type TempPlace,
} from "../../store/locks/owned-temp.ts";
import { unwritable } from "../../runtime/file-faults.ts";

/** A directory for what is only needed while an image is open; made when the first file is. */
export interface TempDirectory {
  /** The path of a new file, which does not exist yet. Throws as `unwritable` when the directory can't be made. */
  newFile(): Promise<string>;
  /** Removes the directory with all that is in it. Never throws. */
  remove(): Promise<void>;
}

/**
 * A temporary directory below `parent`, which is made where it is missing. A lock shows that it is in use:
 * the directory of a process that was killed, gigabytes perhaps, is removed by the next that needs one.
 */
export function tempDirectory(parent: string): TempDirectory {
  const place: TempPlace = { directory: parent, prefix: imageTempPrefix, suffix: "" };
  let made: Promise<OwnedTemp> | undefined;
  let files = 0;
  const make = async (): Promise<OwnedTemp> => {
    try {
      await makeParent(parent);
      await sweepOwnedTemps(place);
      const temp = ownTemp(place);
      await mkdir(temp.path);
      return temp;
    } catch (error) {
      throw unwritable(parent, error);
    }
  };
  return {
    async newFile() {
      made ??= make();
      const { path } = await made;
      files += 1;
      return join(path, String(files));
    },
    async remove() {
      const temp = await made?.catch(() => undefined);
      if (temp === undefined) return;
      await removeQuietly(temp.path);
      temp.release();
    },
  };
}

/** Makes the parent. In a directory where everybody may make things, it must be this user's own. */
async function makeParent(parent: string): Promise<void> {
  await mkdir(dirname(parent), { recursive: true });
  const isShared = ((await stat(dirname(parent))).mode & 0o1002) === 0o1002;
  await mkdir(parent, { recursive: true, ...(isShared ? { mode: 0o700 } : {}) });
  if (!isShared) return;
  const stats = await lstat(parent);
  if (stats.isDirectory() && stats.uid === (process.geteuid?.() ?? stats.uid)) return;
  throw new OcibundleError("conflict", `"${parent}" is not a directory of this user`, {
    hint: "set TMPDIR or OCIBUNDLE_CACHE to a directory of your own",
  });
}

const removeQuietly = (path: string): Promise<void> =>
  rm(path, { recursive: true, force: true }).catch(() => undefined);
