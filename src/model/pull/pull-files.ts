import { join } from "node:path";
import { checkDests } from "../../store/placement/safe-path.ts";
import type { HubCacheReport, PulledFile } from "../../report/pull.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import type { WeightsContents } from "../graph/manifest-contents.ts";
import { hubFiles, hubPaths } from "./hub-cache.ts";
import type { MarkedTarget } from "./markers.ts";
import type { FetchOutcome, Seen } from "./pull-context.ts";
import { type WantedFile, wantedFiles } from "./pull-plan.ts";

/** How reports call them. */
const linkWords = { reflink: "reflink", "hard link": "hardlink", copy: "copy" } as const;

/**
 * The files that entries become below `dir`: at their dests, or the blobs of a hub's cache. `folds` says whether names
 * that differ in case are one there, which is tried out unless given. Throws `file`.
 */
export async function filesOf(
  dir: string,
  entries: readonly WeightEntry[],
  forHub: boolean,
  folds?: (root: string) => Promise<boolean>,
): Promise<WantedFile[]> {
  const dests = entries.map(({ dest }) => dest);
  const parts = await checkDests(dir, dests, folds);
  return forHub ? hubFiles(dir, entries) : wantedFiles(dir, entries, parts);
}

/** The targets of Cog's weights that some of the entries belong to: each has markers of its own. */
export function markedTargets(
  contents: readonly WeightsContents[],
  entries: readonly WeightEntry[],
): MarkedTarget[] {
  const targets = new Map<string, MarkedTarget>();
  for (const { format, packed, raw } of contents) {
    if (format !== "cog") continue;
    for (const { under } of packed.tars) {
      const isWanted = entries.some(({ dest }) => under === "/" || dest.startsWith(`${under}/`));
      const parts = under.split("/").filter((part) => part !== "");
      if (isWanted) targets.set(under, { parts, digest: raw.digest });
    }
  }
  return [...targets.values()];
}

/** What became of each entry. `hub` is given where the files are the blobs of a hub's cache. */
export function reportedFiles(
  entries: readonly WeightEntry[],
  outcomes: ReadonlyMap<WantedFile, FetchOutcome>,
  files: readonly WantedFile[],
  ways: Seen["ways"],
  hub: { report: HubCacheReport; entries: readonly WeightEntry[] } | undefined,
): PulledFile[] {
  const byDigest = new Map(files.map((file) => [file.entry.digestOriginal, file]));
  const byEntry = new Map(files.map((file) => [file.entry, file]));
  const paths = hub === undefined ? undefined : hubPaths(hub.entries);
  return entries.map((entry) => {
    const file = byEntry.get(entry) ?? byDigest.get(entry.digestOriginal);
    if (file === undefined) throw new TypeError(`no file was made for ${entry.dest}`);
    const path = paths?.get(entry);
    const way = ways?.get(file);
    return {
      name: entry.name,
      path: hub === undefined || path === undefined ? file.path : join(hub.report.snapshot, path),
      size: entry.sizeUncompressed,
      outcome: outcomes.get(file) ?? "kept",
      link: way === undefined ? null : linkWords[way],
    };
  });
}
