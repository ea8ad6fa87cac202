import { mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { createFile } from "../../runtime/own-file.ts";
import { unwritable } from "../verified-write.ts";

/** The folder of ready markers and the temporary files of a pull: no weight may take their place. */
const reservedName = /^(?:\.cog$|\.ocibundle-)/;
/** What nearly every file system allows for one name, in bytes. */
const longestName = 255;

const controlCharacter = /\p{Cc}/u;
/** learn.microsoft.com/windows/win32/fileio/naming-a-file */
const windowsDevice = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\.|$)/i;
const windowsCharacter = /[<>:"|?*]/;

/**
 * The names below the target folder that a manifest's dest stands for: `/src/weights/x` is
 * `["src", "weights", "x"]`. Joined to any folder they stay below it.
 *
 * Throws `file` with the dest and the rule it breaks.
 */
export function destParts(dest: string, platform: string = process.platform): string[] {
  const broken = (rule: string): OcibundleError =>
    new OcibundleError("file", `dest ${JSON.stringify(dest)} ${rule}`, {
      hint: "the weights were pushed with a dest that can't be written here",
    });
  if (dest === "") throw broken("is empty");
  if (!dest.startsWith("/")) throw broken("is not absolute");
  if (controlCharacter.test(dest)) throw broken("has a control character");
  if (dest.includes("\\")) throw broken("has a backslash");
  if (!dest.isWellFormed()) throw broken("is not valid Unicode");
  const parts = dest.slice(1).split("/");
  for (const part of parts) {
    if (part === "") throw broken("has an empty part");
    if (part === "." || part === "..") throw broken(`has the part "${part}"`);
    if (new TextEncoder().encode(part).byteLength > longestName) {
      throw broken(`has a part of more than ${longestName} bytes`);
    }
    if (reservedName.test(foldName(part))) throw broken(`has the reserved part "${part}"`);
    if (platform !== "win32") continue;
    if (windowsDevice.test(part)) throw broken(`has the part "${part}", a device of Windows`);
    if (windowsCharacter.test(part)) throw broken("has a character that Windows does not allow");
    if (/[. ]$/.test(part)) throw broken("has a part that ends with a dot or a space");
  }
  return parts;
}

/** One name for all spellings that a file system may take for the same. */
const foldName = (name: string): string => name.normalize("NFC").toLowerCase().normalize("NFC");

export interface DestClash {
  dest: string;
  other: string;
  /** `same`: one file; `under`: `dest` would lie in a folder that is the file `other`. */
  kind: "same" | "under";
}

/**
 * The first two dests that can't both be files, or undefined. With `folded`, names that differ in case
 * or Unicode form count as one.
 */
export function findClash(dests: readonly string[], folded = false): DestClash | undefined {
  const seen = new Map<string, string>();
  const key = (dest: string): string => (folded ? foldName(dest) : dest);
  for (const dest of dests) {
    const other = seen.get(key(dest));
    if (other !== undefined) return { dest, other, kind: "same" };
    seen.set(key(dest), dest);
  }
  for (const dest of dests) {
    const path = key(dest);
    for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
      const other = seen.get(path.slice(0, end));
      if (other !== undefined) return { dest, other, kind: "under" };
    }
  }
  return undefined;
}

/**
 * Checks that dests can be written below `root` together: each is safe (see `destParts`), no two are
 * one file, none lies under another, also where the file system takes `A` and `a` for one name. That
 * is tried out, in `root`, only when it matters. Returns each dest's parts. Throws `file`.
 */
export async function checkDests(
  root: string,
  dests: readonly string[],
): Promise<Map<string, string[]>> {
  const parts = new Map(dests.map((dest) => [dest, destParts(dest)]));
  const clash =
    findClash(dests) ??
    (findClash(dests, true) !== undefined && (await foldsNames(root))
      ? findClash(dests, true)
      : undefined);
  if (clash === undefined) return parts;
  const { dest, other, kind } = clash;
  if (kind === "under") {
    throw new OcibundleError("file", `dest "${dest}" lies under "${other}", which is a file`);
  }
  throw new OcibundleError(
    "file",
    dest === other
      ? `dest "${dest}" is used twice`
      : `dests "${other}" and "${dest}" are one file on the file system of "${root}"`,
    dest === other ? {} : { hint: "choose a folder on a file system that tells them apart" },
  );
}

/** Whether the file system of `root` takes names that differ in case for one. Makes `root`. */
async function foldsNames(root: string): Promise<boolean> {
  const name = `.ocibundle-case-${crypto.randomUUID()}`;
  const path = join(root, name);
  try {
    await mkdir(root, { recursive: true });
    await (await createFile(path)).close();
    return await stat(join(root, name.toUpperCase())).then(
      () => true,
      () => false,
    );
  } catch (error) {
    throw unwritable(root, error);
  } finally {
    await rm(path, { force: true });
  }
}
