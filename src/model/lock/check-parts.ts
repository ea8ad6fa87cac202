import { OcibundleError } from "../../errors.ts";
import type { CutRecords } from "../../store/records/cut-records.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { lockPartsOf } from "../parts/lock-parts.ts";
import { type WholeParts, wholeParts } from "../parts/whole-parts.ts";
import type { FileCut, Sha256 } from "../weights/file-state.ts";

/** What the parts of an entry are to be compared with: the digests of these pieces of its file. */
export interface PartsToCheck extends WholeParts {
  cut: FileCut;
}

/**
 * What must be hashed of a file to know whether the parts of its entry are its own; undefined where the entry has
 * none, or where that is known of a content with its digest. Throws `integrity` for parts that are known to be
 * others, `file` for segments that can't be compared with any file.
 */
export async function partsToCheck(
  entry: WeightEntry,
  on: string,
  records: CutRecords | undefined,
): Promise<PartsToCheck | undefined> {
  const parts = lockPartsOf(entry, on);
  if (parts === undefined || entry.sizeUncompressed === 0) return undefined;
  const whole = wholeParts(parts);
  if (whole === undefined) {
    throw new OcibundleError(
      "file",
      `its segments in ${on} are not whole parts in the order of the file, or too many, so they cannot be compared with it`,
      { hint: "run `ocibundle lock` again" },
    );
  }
  const known = await records?.find(entry.digestOriginal as Sha256, whole.name);
  if (known === undefined) {
    return { ...whole, cut: { plan: whole.plan, split: whole.name, isOfLock: true } };
  }
  compareParts(whole, known, on);
  return undefined;
}

/** Throws `integrity` where the digests of a file's pieces are not those that the lock has of its parts. */
export function compareParts(
  { digests }: Pick<WholeParts, "digests">,
  found: readonly string[] | undefined,
  on: string,
): void {
  const at = digests.findIndex((digest, index) => found?.[index] !== digest);
  if (at < 0 && found?.length === digests.length) return;
  throw new OcibundleError("integrity", `its parts in ${on} are not those of the file`, {
    hint: "run `ocibundle lock` again, then push again",
  });
}

/** Notes that the parts of entries were made from their files, so that nobody hashes them to find out. */
export async function recordParts(
  entries: readonly WeightEntry[],
  on: string,
  records: CutRecords | undefined,
): Promise<void> {
  for (const entry of entries) {
    const parts = lockPartsOf(entry, on);
    const whole = parts === undefined ? undefined : wholeParts(parts);
    if (whole === undefined) continue;
    const digest = entry.digestOriginal as Sha256;
    if ((await records?.find(digest, whole.name)) !== undefined) continue;
    await records?.add(digest, whole.name, whole.digests);
  }
}
