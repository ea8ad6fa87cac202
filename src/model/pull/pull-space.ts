import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { OcibundleError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { assembledCache } from "../../store/cache/assembled.ts";
import type { FilePlan } from "../parts/file-plan.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { shownRoot } from "../../store/cache/directory.ts";
import { onOneDisk, requireSpace, type SpaceNeed } from "../../store/placement/disk-space.ts";
import { type LinkMode, takesSpace } from "../session/link-mode.ts";
import { temporaryName } from "../../store/placement/materialize.ts";
import { fetchesAtOnce, isSmall, partsAtOnce } from "./pull-context.ts";
import { compressedPart } from "./fetch-in-place.ts";
import type { WantedFile } from "./pull-plan.ts";
import type { WeightEntry } from "../format/weight-entry.ts";

/** How files will come, which decides how often their bytes need space. */
export interface SpaceOptions {
  cache: Cache;
  /** Whether files go through the cache, and need space there as well. */
  useCache: boolean;
  /** How files come from the cache; `auto` unless given. */
  link?: LinkMode;
  signal: AbortSignal;
  /** Files that are put together from parts. */
  plans?: ReadonlyMap<WeightEntry, FilePlan> | undefined;
}

/**
 * Checks that what a pull will write below `root` and in the cache fits, before the first byte is asked
 * for. What an earlier run has left of it is there already. Where only the cache is too small, that is
 * returned: the pull goes without. Throws `file`.
 */
export async function checkSpace(
  root: string,
  wanted: readonly WantedFile[],
  { cache, useCache, link = "auto", signal, plans }: SpaceOptions,
): Promise<OcibundleError | undefined> {
  const options = { cache, link, linked: await onOneDisk(cache.root, root), signal, plans };
  const direct = { ...options, reads: useCache, writes: false };
  if (!useCache) {
    await requireSpace(await spaceNeeded(root, wanted, direct));
    return undefined;
  }
  const through = { ...options, reads: true, writes: true };
  try {
    await requireSpace(await spaceNeeded(root, wanted, through));
    return undefined;
  } catch (error) {
    if (!(error instanceof OcibundleError) || options.linked) throw error;
    await requireSpace(await spaceNeeded(root, wanted, direct));
    return error;
  }
}

interface NeedOptions {
  cache: Cache;
  link: LinkMode;
  /** Whether a file in the target can be another name of the cache's. */
  linked: boolean;
  /** Whether what the cache has is taken from there. */
  reads: boolean;
  /** Whether what is fetched goes there. */
  writes: boolean;
  signal: AbortSignal;
  plans: SpaceOptions["plans"];
}

async function spaceNeeded(
  root: string,
  wanted: readonly WantedFile[],
  { cache: main, link, linked, reads, writes, signal, plans }: NeedOptions,
): Promise<SpaceNeed[]> {
  const originals = new Set<Digest>();
  const fetched: WeightEntry[] = [];
  let inCache = 0;
  let inTarget = 0;
  for (const file of wanted) {
    const made = plans?.get(file.entry);
    const cache = made === undefined ? main : assembledCache(main);
    const { sizeUncompressed: size } = file.entry;
    const { digestOriginal, digest } =
      made === undefined ? file.entry : { digestOriginal: made.key, digest: made.key };
    const again = originals.has(digestOriginal);
    originals.add(digestOriginal);
    const cached = reads && (await cache.has({ digest: digestOriginal, size }, signal));
    if (!(linked && (writes || cached)) || takesSpace(link, size)) inTarget += size;
    if (again || cached) continue;
    fetched.push(file.entry);
    if (writes) {
      inCache += Math.max(0, size - (await allocated(cache.partialPath(digest))));
    } else {
      const part = join(dirname(file.path), temporaryName(file.parts.at(-1) ?? ""));
      const there = (await allocated(part)) + (await allocated(compressedPart(part)));
      inTarget -= Math.min(size, there);
    }
  }
  const made = fetched.flatMap((entry) => plans?.get(entry) ?? []);
  const passing = passingBytes(fetched) + passingParts(made);
  return [
    { path: shownRoot(main.root), bytes: writes ? inCache + passing : 0 },
    { path: root, bytes: writes ? inTarget : inTarget + passing },
  ];
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

/** The same of parts that are stored in another form: each goes once it is decoded. */
function passingParts(plans: readonly FilePlan[]): number {
  const encoded = new Map<Digest, number>();
  for (const { parts } of plans) {
    for (const { stored } of parts) {
      if (stored.encoding !== "none") encoded.set(stored.stored.digest, stored.stored.size);
    }
  }
  const largest = [...encoded.values()].toSorted((a, b) => b - a).slice(0, partsAtOnce);
  return largest.reduce((sum, size) => sum + size, 0);
}

/** Bytes that an earlier run's part takes already. */
async function allocated(path: string): Promise<number> {
  const stats = await stat(path).catch(() => undefined);
  return stats === undefined ? 0 : stats.blocks * 512;
}
