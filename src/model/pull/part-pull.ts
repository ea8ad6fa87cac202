import { lstat } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import type { WorkerPool } from "../../runtime/worker-pool.ts";
import { assembledCache } from "../../store/cache/assembled.ts";
import type { Cache } from "../../store/cache/cache.ts";
import type { PartRecords } from "../../store/records/part-records.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { contentOf, type FilePlan } from "../parts/file-plan.ts";
import type { Session } from "../session/session.ts";
import { type Assembly, createAssembly } from "./assembly.ts";
import { namedSeeds } from "./named-seeds.ts";
import type { WantedFile } from "./pull-plan.ts";
import { findSeeds, type Seeds } from "./seeds.ts";

/** Whether a file in its place is known to hold what a plan says, without being read. */
export async function holdsPlan(
  path: string,
  plan: FilePlan,
  { cache }: Pick<Session, "cache">,
  records: PartRecords,
): Promise<boolean> {
  const { key, size, parts, segments } = plan;
  const assembled = assembledCache(cache);
  const found = await assembled.find({ digest: key, size });
  const there = await lstat(path);
  const cached = found === undefined ? undefined : await lstat(found);
  if (cached?.ino === there.ino && cached.dev === there.dev) {
    return !(await assembled.isForeign(key));
  }
  const digests = new Set<string>(parts.map(({ stored }) => stored.digest));
  const holders = await records.holders((digest) => digests.has(digest));
  const said = holders.find((holder) => holder.path === path);
  if (said?.trusted !== true || said.content.length !== segments.length) return false;
  return isDeepStrictEqual([...said.content], [...contentOf(plan)]);
}

/**
 * Notes what a file that was pulled holds. One that came as a blob has the parts that its recipe says of it, as
 * far as is known; the cache's file of it as well, which stays when the directory goes.
 */
export async function noteParts(
  plan: FilePlan,
  { path, cache, records }: { path: string; cache: Cache; records: PartRecords },
): Promise<void> {
  const { blob } = plan;
  if (blob === undefined) return records.add(path, contentOf(plan));
  const cached = cache.blobPath(blob.digest);
  const isCached = await lstat(cached).then(
    (stats) => stats.size === blob.size,
    () => false,
  );
  await records.add(isCached ? cached : path, contentOf(plan), "said");
}

/** What is known before files are put together from parts. */
export interface AssemblyOptions {
  session: Session;
  workers: WorkerPool;
  records: PartRecords;
  /** The recipes, for those of the wanted files that have one. */
  plans: ReadonlyMap<WeightEntry, FilePlan>;
  wanted: readonly WantedFile[];
  /** Files and directories that may have parts, as they were given. */
  seeds: readonly string[];
  /** Whether the digest of each whole file is checked besides those of its parts. */
  checkWhole: boolean;
  /** Whether whole files in the cache are used. */
  useCache: boolean;
}

/** What the wanted files that are put together from parts have in common; their seeds are looked for. */
export async function openAssembly(options: AssemblyOptions): Promise<Assembly> {
  const { session, workers, records, plans, wanted, seeds, checkWhole, useCache } = options;
  const { signal, cache } = session;
  const files = wanted.filter(({ entry }) => plans.has(entry));
  const needed = new Map<WeightEntry, FilePlan>();
  const near: string[] = [];
  for (const { entry, path } of files) {
    const plan = plans.get(entry);
    if (plan === undefined) continue;
    needed.set(entry, plan);
    near.push(path);
    const whole = useCache
      ? await cache.find({ digest: plan.claim, size: plan.size }, signal)
      : undefined;
    if (whole !== undefined) near.push(whole);
  }
  const named = await namedSeeds(session, seeds);
  const found = await findSeeds([...needed.values()], {
    records,
    files: needed.size === 0 ? [] : [...named, ...near],
    workers,
    signal,
  });
  for (const [entry, plan] of needed) {
    // A blob comes as blobs do where little of it is here already.
    const isWorth = plan.blob === undefined || hasShare(plan, found);
    const isCached = plan.blob !== undefined && useCache && (await cache.has(plan.blob, signal));
    if (!isWorth || isCached) needed.delete(entry);
  }
  return createAssembly(needed, { seeds: found, records, checkWhole });
}

/** A blob is made of parts where so much of it lies on this machine, as a share of its bytes. */
const leastShare = 1 / 16;

/** Whether so much of a file lies on this machine that it is made of parts, where it could come as a blob. */
export function hasShare({ parts, size }: FilePlan, seeds: Seeds): boolean {
  const there = parts.filter(({ stored }) => seeds.of(stored.digest).length > 0);
  return there.reduce((sum, { stored }) => sum + stored.size, 0) >= size * leastShare;
}

/** The plans of files that are stored in parts alone, and not also as one blob. */
export const inParts = (plans: ReadonlyMap<WeightEntry, FilePlan>): Map<WeightEntry, FilePlan> =>
  new Map([...plans].filter(([, { blob }]) => blob === undefined));

/** For a pull without a cache: nothing is read there, and nothing noted. */
export const noRecords: PartRecords = {
  holders: () => Promise.resolve([]),
  add: () => Promise.resolve(),
};
