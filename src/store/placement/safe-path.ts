import { Buffer } from "node:buffer";
import { mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { createFile } from "../../runtime/own-file.ts";
import { clashingPair, destFault, foldName, caseTrialPrefix, shownDest } from "./dest-rule.ts";
import { unwritable } from "../../runtime/file-faults.ts";

/**
 * The names below the target directory that a manifest's dest stands for: `/src/weights/x` is
 * `["src", "weights", "x"]`. Joined to any directory they stay below it.
 *
 * Throws `file` with the dest and the rule it breaks.
 */
export function destParts(dest: string, platform: string = process.platform): string[] {
  const fault = destFault(dest, platform);
  if (fault === undefined) return dest.slice(1).split("/");
  throw new OcibundleError("file", `dest ${shownDest(dest)} ${fault}`, {
    hint: "push the weights with another dest: this one is not allowed",
  });
}

/** Two dests that can't both be files. */
export interface DestClash {
  dest: string;
  other: string;
  /** `same`: one file; `under`: `dest` would lie in a directory that is the file `other`. */
  kind: "same" | "under";
}

/**
 * Two dests that can't both be files, or undefined. With `folded`, names that differ in case or Unicode
 * form count as one.
 */
export function findClash(dests: readonly string[], folded = false): DestClash | undefined {
  const pair = clashingPair(folded ? dests.map(foldName) : dests);
  const [dest, other] = [dests[pair?.at ?? -1], dests[pair?.otherAt ?? -1]];
  if (pair === undefined || dest === undefined || other === undefined) return undefined;
  return { dest, other, kind: pair.kind };
}

/** What systems take for a whole path, in bytes. */
const longestPath: Readonly<Record<string, number>> = { linux: 4095, darwin: 1023 };

/** Nothing is made of a path that the system would refuse half-way. Throws `file`. */
function checkLength(root: string, dest: string): void {
  const longest = longestPath[process.platform];
  const length = Buffer.byteLength(root) + Buffer.byteLength(dest);
  if (longest === undefined || length <= longest) return;
  throw new OcibundleError(
    "file",
    `dest ${shownDest(dest)} makes a path of ${length} bytes, the limit of this system is ${longest}`,
    { hint: "use a shorter directory path with -o" },
  );
}

/**
 * Checks that dests can be written below `root` together: each is safe (see `destParts`), no two are
 * one file, none lies under another, also where the file system takes `A` and `a` for one name. That
 * is tried out, in `root`, only when it matters. Returns each dest's parts. Throws `file`, and as `unwritable`
 * where `root` can't be made.
 */
export async function checkDests(
  root: string,
  dests: readonly string[],
  folds: (root: string) => Promise<boolean> = foldsNames,
): Promise<Map<string, string[]>> {
  const parts = new Map(dests.map((dest) => [dest, destParts(dest)]));
  for (const dest of dests) checkLength(root, dest);
  const clash =
    findClash(dests) ??
    (findClash(dests, true) !== undefined && (await folds(root))
      ? findClash(dests, true)
      : undefined);
  if (clash === undefined) return parts;
  const { dest, other, kind } = clash;
  if (kind === "under") {
    throw new OcibundleError(
      "file",
      `dest ${shownDest(dest)} is below ${shownDest(other)}, which is a file`,
    );
  }
  throw new OcibundleError(
    "file",
    dest === other
      ? `dest ${shownDest(dest)} is used twice`
      : `dests ${shownDest(other)} and ${shownDest(dest)} are one file on the file system of "${root}"`,
    dest === other ? {} : { hint: "use a directory on a case-sensitive file system" },
  );
}

/** Whether the file system of `root` takes names that differ in case for one. Makes `root`. */
async function foldsNames(root: string): Promise<boolean> {
  const name = `${caseTrialPrefix}${crypto.randomUUID()}`;
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
