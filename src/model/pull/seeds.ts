import type { BigIntStats } from "node:fs";
import { lstat } from "node:fs/promises";
import { parallel } from "../../flow/parallel.ts";
import type { WorkerPool } from "../../runtime/worker-pool.ts";
import { PartPlaces } from "../../runtime/part-places.ts";
import type { PartRecords } from "../../store/records/part-records.ts";
import { type FilePlan, partsInContent } from "../parts/file-plan.ts";
import { areUsable } from "../parts/tree-numbers.ts";
import { type PartPlan, treeNumbersOf, treeParts } from "../parts/tree.ts";
import { fileReader, type TensorFile } from "../tensors/read-at.ts";
import { readTensors } from "../tensors/read-tensors.ts";
import { openRegular } from "../../runtime/regular-file.ts";

/** A file on this machine that has a part. */
export interface PartSeed {
  path: string;
  /** Where in it the part lies. */
  places: PartPlaces;
  /** Whether it is unchanged since the part was verified in it; else its bytes are hashed before they count. */
  trusted: boolean;
  /** The file as it was then. */
  stats: BigIntStats;
}

/** Where wanted parts lie on this machine, by their digests. */
export interface Seeds {
  of(digest: string): readonly PartSeed[];
  /** A seed did not have what it should have: it is not looked at again. */
  reject(path: string): void;
}

/** No part is looked for in other files. */
export const noSeeds: Seeds = { of: () => [], reject: () => undefined };

interface SeedSources {
  records: PartRecords;
  /** Files that nothing is known of: they are read where pieces of them can be wanted parts. */
  files: readonly string[];
  workers: WorkerPool;
  signal: AbortSignal;
}

/** What may be a part: its size, and where its bytes lie. */
interface Candidate {
  size: number;
  places: PartPlaces;
}

/** How unknown files may be cut, by their paths and sizes: made once, since there can be many of both. */
function cutter(
  plans: readonly FilePlan[],
): (path: string, size: number) => Promise<readonly Candidate[]> {
  const rules = new Map(plans.map(({ split }) => [`${split.least} ${split.most}`, split]));
  /** As the plans cut theirs, at the same places; those that a small file has come first. */
  const alike = plans
    .flatMap(({ parts }) => parts)
    .flatMap(({ once: places, stored: { size } }) =>
      places === undefined ? [] : [{ size, places, reach: reachOf(places) }],
    )
    .toSorted((a, b) => a.reach - b.reach);
  const alikeIn = (size: number): readonly Candidate[] => {
    const after = alike.findIndex(({ reach }) => reach > size);
    return after < 0 ? alike : alike.slice(0, after);
  };
  // A file of tensors by the rule and the numbers that the wanted files were cut by, any other as they are cut.
  return async (path, size) => {
    const tensors = await tensorsOf(path, size);
    if (tensors === undefined) return alikeIn(size);
    const pieces = [...rules.values()].flatMap((split) => {
      const numbers = treeNumbersOf(split);
      return numbers === undefined || !areUsable({ size, tensors }, numbers)
        ? []
        : treeParts(tensors, numbers).map(candidateOf);
    });
    return pieces.length === 0 ? alikeIn(size) : pieces;
  };
}

/** Up to where a file must have bytes to have all of these places. */
function reachOf(places: PartPlaces): number {
  let reach = 0;
  places.each((start, end, position) => (reach = Math.max(reach, position + end - start)));
  return reach;
}

async function tensorsOf(path: string, size: number): Promise<TensorFile | undefined> {
  try {
    await using file = await openRegular(path);
    return await readTensors(fileReader(file), size);
  } catch {
    // What can't be read is no seed.
    return undefined;
  }
}

/** Extents of a file, one after another, as a part. */
function candidateOf(extents: PartPlan): Candidate {
  const places = PartPlaces.together(extents);
  return { size: places.bytes, places };
}

/** Looks for the parts of some files: in what the records know, then in the files that are named. */
export async function findSeeds(
  plans: readonly FilePlan[],
  { records, files, workers, signal }: SeedSources,
): Promise<Seeds> {
  const wanted = new Map<string, number>();
  for (const { parts } of plans) {
    for (const { stored } of parts) wanted.set(stored.digest, stored.size);
  }
  /** How many parts of a size are not found yet. */
  const lacking = new Map<number, number>();
  for (const size of wanted.values()) lacking.set(size, (lacking.get(size) ?? 0) + 1);
  const found = new Map<string, PartSeed[]>();
  const add = (digest: string, seed: PartSeed): void => {
    const seeds = found.get(digest);
    if (seeds !== undefined) {
      seeds.push(seed);
      return;
    }
    found.set(digest, [seed]);
    const size = wanted.get(digest) ?? 0;
    const others = (lacking.get(size) ?? 0) - 1;
    if (others > 0) lacking.set(size, others);
    else lacking.delete(size);
  };
  const isWanted = (digest: string): boolean => wanted.has(digest);
  for (const { path, content, trusted, stats } of await records.holders(isWanted)) {
    for (const [digest, places] of partsInContent(content, isWanted)) {
      add(digest, { path, places, trusted, stats });
    }
  }
  const cut = cutter(plans);
  let smallest = Infinity;
  for (const size of wanted.values()) smallest = Math.min(smallest, size);
  for (const path of files) {
    if (lacking.size === 0) break;
    const stats = await lstat(path, { bigint: true }).catch(() => undefined);
    // Thousands of small files, as in a checkout, are not worth opening.
    if (stats?.isFile() !== true || Number(stats.size) < smallest) continue;
    const pieces = await cut(path, Number(stats.size));
    const fitting = pieces.filter(({ size }) => lacking.has(size));
    await parallel(fitting, workers.size, signal, async ({ places }, stop) => {
      const digest = await digestOfPiece(path, places, workers, stop);
      if (digest === undefined || !isWanted(digest)) return;
      add(digest, { path, places, trusted: false, stats });
    });
  }
  const rejected = new Set<string>();
  return {
    of: (digest) =>
      (found.get(digest) ?? [])
        .filter(({ path }) => !rejected.has(path))
        .toSorted((a, b) => Number(b.trusted) - Number(a.trusted)),
    reject: (path) => rejected.add(path),
  };
}

async function digestOfPiece(
  path: string,
  { numbers }: PartPlaces,
  workers: WorkerPool,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    return (await workers.part({ from: { path, places: numbers } }, { signal })).digest;
  } catch {
    signal.throwIfAborted();
    // What can't be read is no seed.
    return undefined;
  }
}
