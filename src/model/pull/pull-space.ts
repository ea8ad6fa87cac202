import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Digest } from "../../oci/digest.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { requireSpace } from "../../store/target/disk-space.ts";
import { temporaryName } from "../../store/target/materialize.ts";
import { compressedPart, fetchesAtOnce, isSmall } from "./pull-fetch.ts";
import type { WantedFile } from "./pull-plan.ts";
import type { WeightEntry } from "../format/weight-entry.ts";

export interface SpaceOptions {
  cache: Cache;
  useCache: boolean;
  signal: AbortSignal;
}

/**
 * Checks that what a pull will write below `root` and in the cache fits, before the first byte is asked
 * for. What an earlier run has left of it is there already. Throws `file`.
 */
export async function checkSpace(
  root: string,
  wanted: readonly WantedFile[],
  { cache, useCache, signal }: SpaceOptions,
): Promise<void> {
  const originals = new Map<Digest, WantedFile>();
  const fetched: WeightEntry[] = [];
  let inCache = 0;
  let inTarget = 0;
  const linked = useCache && (await deviceOf(cache.root)) === (await deviceOf(root));
  for (const file of wanted) {
    const { digestOriginal, digest, sizeUncompressed } = file.entry;
    const again = originals.has(digestOriginal);
    originals.set(digestOriginal, file);
    if (!useCache) {
      const part = join(dirname(file.path), temporaryName(file.parts.at(-1) ?? ""));
      const there = again ? 0 : (await allocated(part)) + (await allocated(compressedPart(part)));
      inTarget += Math.max(0, sizeUncompressed - there);
      if (!again) fetched.push(file.entry);
      continue;
    }
    if (!linked) inTarget += sizeUncompressed;
    if (again || (await cache.has({ digest: digestOriginal, size: sizeUncompressed }, signal))) {
      continue;
    }
    const there = await allocated(cache.partialPath(digest));
    inCache += Math.max(0, sizeUncompressed - there);
    fetched.push(file.entry);
  }
  const passing = passingBytes(fetched);
  await requireSpace([
    { path: cache.root, bytes: useCache ? inCache + passing : 0 },
    { path: root, bytes: useCache ? inTarget : inTarget + passing },
  ]);
}

/** What lies on the disk at most of compressed blobs: each goes once it is decompressed. */
function passingBytes(entries: readonly WeightEntry[]): number {
  const compressed = entries
    .filter(({ digest, digestOriginal }) => digest !== digestOriginal)
    .toSorted((a, b) => b.size - a.size);
  const most = [
    ...compressed.filter((entry) => !isSmall(entry)).slice(0, fetchesAtOnce.large),
    ...compressed.filter(isSmall).slice(0, fetchesAtOnce.small),
  ];
  return most.reduce((sum, { size }) => sum + size, 0);
}

/** Bytes that an earlier run's part takes already. */
async function allocated(path: string): Promise<number> {
  const stats = await stat(path).catch(() => undefined);
  return stats === undefined ? 0 : stats.blocks * 512;
}

async function deviceOf(path: string): Promise<number> {
  for (let folder = path; ; folder = dirname(folder)) {
    const found = await stat(folder).catch(() => undefined);
    if (found !== undefined || folder === dirname(folder)) return found?.dev ?? -1;
  }
}
