import type { Descriptor } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import { type PartPlaces, rangeInFile } from "../../runtime/part-places.ts";
import { assembledCache } from "../../store/cache/assembled.ts";
import type { Cache } from "../../store/cache/cache.ts";
import { readJournal } from "../../transfer/download/download-journal.ts";
import { type RangeSet, rangeSet } from "../../transfer/download/range-set.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import type { FilePlan } from "../parts/file-plan.ts";
import type { Session } from "../session/session.ts";
import { growingBlob } from "./assemble-file.ts";
import type { Assembly } from "./assembly.ts";
import { storedBlob } from "./pull-download.ts";
import type { WantedFile } from "./pull-plan.ts";

/** What fetching some files would take, in bytes; each is counted once. */
export interface FetchCount {
  cached: ReadonlySet<WantedFile>;
  fetch: number;
  /** Fetched by an earlier run that did not come to its end. */
  resumed: number;
  /** Taken from other files on this machine. */
  reused: number;
}

interface CountContext {
  session: Pick<Session, "cache" | "signal">;
  assembly: Assembly;
  /** Files that come with an archive, whose bytes are not counted here. */
  packed: ReadonlySet<WeightEntry>;
  useCache: boolean;
}

/** Looks up what of wanted files is on this machine. Nothing is fetched and nothing written. */
export async function countFetch(
  wanted: readonly WantedFile[],
  context: CountContext,
): Promise<FetchCount> {
  const { session, assembly, packed, useCache } = context;
  const { cache, signal } = session;
  const cached = new Set<WantedFile>();
  const counted = new Set<Digest>();
  const sums = { fetch: 0, resumed: 0, reused: 0 };
  for (const file of wanted) {
    const { entry } = file;
    const plan = assembly.plans.get(entry);
    const name = plan !== undefined && !assembly.checksWhole(plan) ? plan.key : undefined;
    const place = name === undefined ? cache : assembledCache(cache);
    const digest = name ?? entry.digestOriginal;
    const blob = { digest, size: entry.sizeUncompressed };
    if (useCache && (await place.has(blob, signal))) cached.add(file);
    else if (!packed.has(entry) && !counted.has(digest)) {
      counted.add(digest);
      if (plan === undefined) await addBlob(entry);
      else addParts(plan, await foundOf(place, digest, growingBlob(plan)));
    }
  }
  return { cached, ...sums };

  /** What an earlier run left of a file that grows in a cache. */
  async function foundOf(of: Cache, name: Digest, growing: Descriptor): Promise<RangeSet> {
    const place = { partial: of.partialPath(name), journal: of.journalPath(name) };
    return rangeSet(useCache ? await readJournal(place, growing) : []);
  }

  async function addBlob(entry: WeightEntry): Promise<void> {
    const { bytes } = await foundOf(cache, entry.digest, storedBlob(entry));
    sums.resumed += bytes;
    sums.fetch += entry.size - bytes;
  }

  function addParts({ parts, size, blob }: FilePlan, found: RangeSet): void {
    let missing = 0;
    for (const { stored: part, once } of parts) {
      if (assembly.seeds.of(part.digest).length > 0) continue;
      missing += part.size;
      // Another file that needs it borrows it.
      if (counted.has(part.digest)) continue;
      counted.add(part.digest);
      const lacks = once === undefined ? part.size : missingOf(found, once);
      sums.resumed += part.size - lacks;
      // What is decoded is fetched as a whole.
      if (blob !== undefined || part.encoding === "none") sums.fetch += lacks;
      else if (lacks > 0) sums.fetch += part.stored.size;
    }
    sums.reused += Math.max(0, size - missing);
  }
}

/** How many bytes of a part are not in the file yet. */
function missingOf(found: RangeSet, once: PartPlaces): number {
  let bytes = 0;
  for (const place of once) {
    for (const { start, end } of found.missing(rangeInFile(place))) bytes += end - start;
  }
  return bytes;
}
