import type { Digest } from "../../oci/digest.ts";
import { assembledCache } from "../../store/cache/assembled.ts";
import { readJournal } from "../../transfer/download/download-journal.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import type { FilePlan } from "../parts/file-plan.ts";
import type { Session } from "../session/session.ts";
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
      else addParts(plan);
    }
  }
  return { cached, ...sums };

  async function addBlob(entry: WeightEntry): Promise<void> {
    const place = {
      partial: cache.partialPath(entry.digest),
      journal: cache.journalPath(entry.digest),
    };
    const written = useCache ? ((await readJournal(place, storedBlob(entry))) ?? []) : [];
    const there = written.reduce((sum, { start, end }) => sum + end - start, 0);
    sums.resumed += there;
    sums.fetch += entry.size - there;
  }

  function addParts({ parts, size, blob }: FilePlan): void {
    let missing = 0;
    for (const { stored: part } of parts) {
      if (assembly.seeds.of(part.digest).length > 0) continue;
      missing += part.size;
      // Another file that needs it borrows it.
      if (counted.has(part.digest)) continue;
      counted.add(part.digest);
      sums.fetch += blob === undefined ? part.stored.size : part.size;
    }
    sums.reused += Math.max(0, size - missing);
  }
}
