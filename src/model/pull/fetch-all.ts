import { parallel } from "../../flow/parallel.ts";
import { fileNameOf } from "../format/weight-entry.ts";
import { type FetchContext, fetchesAtOnce, isSmall } from "./pull-context.ts";
import { fetchParts } from "./fetch-parts.ts";
import { fetchWeight } from "./pull-fetch.ts";
import type { WantedFile } from "./pull-plan.ts";

/** How the files of a pull came to their places. */
export type Outcomes = ReadonlyMap<WantedFile, "fetched" | "cached">;

/** Fetches every original once, the largest first. The first failure ends the others. */
export async function fetchAll(
  wanted: readonly WantedFile[],
  context: FetchContext,
): Promise<Outcomes> {
  const { session } = context;
  const { plans } = context.assembly;
  const groups = Map.groupBy(wanted, ({ entry }) => plans.get(entry)?.key ?? entry.digestOriginal);
  const largestFirst = [...groups.values()].toSorted((a, b) => sizeOf(b) - sizeOf(a));
  // The archives of unpacked files are what was downloaded.
  const isUnpacked = ([first]: readonly WantedFile[]): boolean =>
    first !== undefined && context.unpacked?.has(first.entry.digestOriginal) === true;
  const toWrite = largestFirst.filter(isUnpacked);
  const toDownload = largestFirst.filter((group) => !isUnpacked(group));
  for (const [phase, some] of [["download", toDownload] as const, ["write", toWrite] as const]) {
    const bytes = some.reduce((sum, group) => sum + (group[0]?.entry.size ?? 0), 0);
    if (some.length > 0) session.emit({ type: "phase", phase, items: some.length, bytes });
  }
  const outcomes = new Map<WantedFile, "fetched" | "cached">();
  const fetch = async ([first, ...others]: WantedFile[], signal: AbortSignal): Promise<void> => {
    if (first === undefined) return;
    const within = { ...context, session: { ...session, signal } };
    const made = plans.get(first.entry);
    const came =
      made === undefined
        ? await fetchWeight([first, ...others], within)
        : await fetchParts([first, ...others], made, within);
    const unpacked = isUnpacked([first]);
    const outcome = unpacked ? "fetched" : came;
    for (const file of [first, ...others]) outcomes.set(file, outcome);
    const { entry } = first;
    const item = { group: "weights", bytes: entry.size, file: fileNameOf(entry) };
    session.emit({
      type: "done",
      phase: unpacked ? "write" : "download",
      item: entry.name,
      ...(outcome === "cached" ? { outcome } : {}),
      ...(came === "cached" ? item : {}),
    });
  };
  const queues = [
    { limit: fetchesAtOnce.large, files: largestFirst.filter((group) => !isSmallGroup(group)) },
    { limit: fetchesAtOnce.small, files: largestFirst.filter(isSmallGroup) },
  ];
  await parallel(queues, queues.length, session.signal, ({ files, limit }, stop) =>
    parallel(files, limit, stop, fetch),
  );
  return outcomes;
}

const sizeOf = ([first]: readonly WantedFile[]): number => first?.entry.sizeUncompressed ?? 0;

const isSmallGroup = ([first]: readonly WantedFile[]): boolean =>
  first !== undefined && isSmall(first.entry);
