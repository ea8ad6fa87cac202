import { Buffer } from "node:buffer";

/** The directory of ready markers beside the weights (docs/pull.md). */
export const markerDirectory = ".cog";
/** What names of temporary files, locks and parts start with, in every directory that is written to. */
export const ownPrefix = ".ocibundle-";
/** The lock of a directory that is pulled into. */
export const pullLockName = `${ownPrefix}lock`;
/** Locked, shared, by those who use what was pulled into a directory. */
export const useLockName = `${ownPrefix}in-use`;
/** The record of what was placed, in a directory that is kept in sync. */
export const placedName = `${ownPrefix}placed.json`;
/** Where the next version of a directory that is kept in sync grows, inside that directory. */
export const stageDirectory = `${ownPrefix}sync`;
/** A trial of whether a file system tells upper and lower case apart. */
export const caseTrialPrefix = `${ownPrefix}case-`;
/** A file that grows beside its final place, by a hash of its name in hex. */
export const partName = (hash: string): string =>
  `${ownPrefix}${hash.slice(0, partHashLength)}.tmp`;
const partHashLength = 16;

/**
 * Whether a name is one that a pull which was killed can leave beside weights: a part of a file with what
 * belongs to it, a trial, what belongs to a lock; not the lock itself, which may be held.
 */
export function isPullLeftover(name: string): boolean {
  if (name.startsWith(caseTrialPrefix) || name.startsWith(`${pullLockName}.`)) return true;
  const hash = name.slice(ownPrefix.length, ownPrefix.length + partHashLength);
  return /^[0-9a-f]{16}$/.test(hash) && name.startsWith(partName(hash));
}

/** What Linux takes for a whole path, in bytes. */
const longestDest = 4096;
/** What nearly every file system takes for one name, in bytes. */
const longestName = 255;

/** Most of a dest that a message shows, in characters. */
const shownLength = 120;

/** Format characters turn the direction of text or can't be seen; the joiners are needed by scripts and emoji. */
const invisible = /[[\p{Cf}\p{Zl}\p{Zp}]--[\u200C\u200D]]/v;
/** learn.microsoft.com/windows/win32/fileio/naming-a-file */
const windowsDevice = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(?:[.:]|$)/i;
const windowsCharacter = /[<>:"|?*]/;

/** A dest as messages show it: quoted, and cut where it is long. */
export const shownDest = (dest: string): string =>
  JSON.stringify(dest.length > shownLength ? `${dest.slice(0, shownLength)}…` : dest);

/**
 * What is wrong with a dest, as the end of a sentence that starts with it, or undefined. A dest is an
 * absolute path of plain names that is joined to a directory on pull. It is judged by the same rule
 * wherever it is locked, read or written: names that are devices or have another meaning on any system
 * are refused on all. Windows refuses some characters besides.
 */
export function destFault(dest: string, platform: string = process.platform): string | undefined {
  if (!dest.startsWith("/")) return "must be an absolute path";
  if (Buffer.byteLength(dest) > longestDest) return `must have at most ${longestDest} bytes`;
  if (dest.includes("\\")) return "must not have a backslash";
  // C0 and C1 control characters: NUL ends a path early, the others are obeyed by terminals.
  if (/\p{Cc}/u.test(dest)) return "must not have a NUL or control character";
  if (!dest.isWellFormed()) return "must be well-formed Unicode";
  if (invisible.test(dest)) {
    return "must not have an invisible or bidirectional control character";
  }
  if (/^\/[A-Za-z]:(?:\/|$)/.test(dest)) return "must not start with a drive letter";
  for (const name of dest.slice(1).split("/")) {
    const fault = nameFault(name, platform);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function nameFault(name: string, platform: string): string | undefined {
  if (name === "") return "must not have an empty component";
  if (name === "." || name === "..") return `must not have a "${name}" component`;
  if (Buffer.byteLength(name) > longestName) {
    return `must not have a component of more than ${longestName} bytes`;
  }
  const folded = foldName(name);
  if (folded === markerDirectory || folded.startsWith(ownPrefix)) {
    return `must not have the component "${name}", which is reserved`;
  }
  if (windowsDevice.test(name)) return `must not have the component "${name}", a device on Windows`;
  if (/[. ]$/.test(name)) return "must not have a component that ends with a dot or a space";
  if (platform === "win32" && windowsCharacter.test(name)) {
    return "must not have a character that Windows does not allow";
  }
  return undefined;
}

/** One name for all spellings that a file system may take for the same. */
export const foldName = (name: string): string =>
  name.normalize("NFC").toLowerCase().normalize("NFC");

/** Two dests that can't both be files, by their places in the list. */
export interface DestPair {
  at: number;
  otherAt: number;
  /** `same`: one file; `under`: the first would lie in a directory that is the file of the second. */
  kind: "same" | "under";
}

/** A pair of dests that can't both be files, or undefined. Takes time by their number and length alone. */
export function clashingPair(dests: readonly string[]): DestPair | undefined {
  const seen = new Map<string, number>();
  for (const [at, dest] of dests.entries()) {
    const otherAt = seen.get(dest);
    if (otherAt !== undefined) return { at, otherAt, kind: "same" };
    seen.set(dest, at);
  }
  // With the separator before every other character, what lies under a dest comes right after it.
  const sorted = dests
    .map((dest, at) => ({ key: dest.replaceAll("/", "\0"), at }))
    .toSorted((a, b) => (a.key < b.key ? -1 : 1));
  for (const [place, { key, at }] of sorted.entries()) {
    const before = sorted[place - 1];
    if (before !== undefined && key.startsWith(`${before.key}\0`)) {
      return { at, otherAt: before.at, kind: "under" };
    }
  }
  return undefined;
}
