import { lstat, mkdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
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

/** A directory of this user's own in that of the system; who makes it sees that it is. */
export const systemTemp = (): string => join(tmpdir(), `ocibundle-${process.geteuid?.() ?? "tmp"}`);

/** Where else temporary files may lie. */
export interface OtherPlace {
  parent: string;
  /** Told why the first place is not used. */
  warn(message: string): void;
}

/**
 * A temporary directory below `parent`, which is made where it is missing; where nothing can be made there, as in
 * a cache that can only be read, below that of `other`. A lock shows that it is in use:
 * the directory of a process that was killed, gigabytes perhaps, is removed by the next that needs one.
 */
export function tempDirectory(parent: string, other?: OtherPlace): TempDirectory {
  let made: Promise<OwnedTemp> | undefined;
  let files = 0;
  const make = async (): Promise<OwnedTemp> => {
    try {
      return await makeIn(parent);
    } catch (error) {
      if (other === undefined || other.parent === parent) throw error;
      const temp = await makeIn(other.parent).catch(() => {
        throw error;
      });
      const why = error instanceof Error ? error.message : String(error);
      other.warn(`temporary files are written to "${other.parent}": ${why}`);
      return temp;
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

async function makeIn(parent: string): Promise<OwnedTemp> {
  const place: TempPlace = { directory: parent, prefix: imageTempPrefix, suffix: "" };
  try {
    await makeParent(parent);
    await sweepOwnedTemps(place);
    const temp = ownTemp(place);
    await mkdir(temp.path);
    return temp;
  } catch (error) {
    throw unwritable(parent, error);
  }
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
