import { OcibundleError } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import { type JournalPlace, removeGrown } from "../../transfer/download/download-journal.ts";
import { openPartialFile } from "../../transfer/download/open-partial-file.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import type { FilePlan, PlannedPart } from "../parts/file-plan.ts";
import { copyPart, type FileAssembly, isThere, takeLocal } from "./assemble-part.ts";
import { copyProven, type SeededPart, splitProven } from "./copy-proven.ts";
import { encodedPlace, fetchPart, fetchTogether } from "./fetch-part.ts";
import { cloneSeed } from "./clone-seed.ts";
import { type FrontTeller, frontTeller } from "./part-front.ts";
import { type FetchContext, partsAtOnce as mostAtOnce } from "./pull-context.ts";
import { download, explained, type FetchProgress, labelOf } from "./pull-download.ts";

/** How a file came about: of its parts, or as the blob that it is, where a recipe says wrong things of that. */
export type Made = "parts" | "blob";

/**
 * Puts a file together as `assembleParts` does. Where it is a blob and its recipe does not fit that, or what was
 * received is damaged, the whole blob is downloaded: its digest counts, and no recipe.
 */
export async function assembleFile(
  entry: WeightEntry,
  plan: FilePlan,
  place: JournalPlace,
  context: FetchContext,
  progress: FetchProgress,
): Promise<Made> {
  const { session, assembly } = context;
  try {
    await assembleParts(entry, plan, place, context, progress);
    return "parts";
  } catch (error) {
    const isWrong = error instanceof OcibundleError && error.code === "integrity";
    if (!isWrong || plan.blob === undefined || session.signal.aborted) throw error;
    session.emit({
      type: "warning",
      message: `${labelOf(entry)}: its parts are not those that its recipe lists: downloading the whole file`,
    });
    progress.takeBack();
    await download(entry, place, place.partial, context, progress);
    await assembly.beforeMove(plan);
    return "blob";
  }
}

/**
 * Puts a file together at `place.partial`, going on from what a former run has left there: from parts that lie
 * on this machine, and from the registry. Every part is verified; the whole file where it is a blob or asked for.
 * It is not flushed, and partial file and journal are the caller's to remove when it has its name.
 *
 * Throws `integrity`, and leaves nothing then; `not_found`, `denied`, `network`, `file`, `system`, after which the
 * next run goes on from what is there.
 */
async function assembleParts(
  entry: WeightEntry,
  plan: FilePlan,
  place: JournalPlace,
  context: FetchContext,
  progress: FetchProgress,
): Promise<void> {
  progress.start();
  const { session, assembly } = context;
  const proven = new Set<PlannedPart>();
  const front = frontTeller(plan, progress);
  try {
    const file = await openPartialFile(place, growingBlob(plan), {
      onBytes: front.progress.tell,
      begin: async (path) => {
        const cloned = await cloneSeed(path, plan, context);
        for (const part of cloned?.proven ?? []) proven.add(part);
        return cloned?.ranges;
      },
    });
    try {
      if (file.resumed === 0) progress.reuse(file.written.bytes);
      assembly.place(plan, place.partial);
      front.begin(file.written);
      for (const part of proven) front.verify(part);
      const one = {
        entry,
        plan,
        place,
        file,
        context,
        progress: front.progress,
        following: 0,
        written: 0,
      };
      await putTogether(one, proven, front);
    } finally {
      await file.close();
    }
    await removeEncoded(place, plan);
    if (assembly.checksWhole(plan)) await checkWhole(entry, plan, place, context);
    await assembly.beforeMove(plan);
  } catch (error) {
    const isWrong = error instanceof OcibundleError && error.code === "integrity";
    if (isWrong && !session.signal.aborted) {
      await removeGrown(place);
      await removeEncoded(place, plan);
    }
    throw error;
  }
}

/** What the journal of a file that is put together names. */
export const growingBlob = ({ key, size }: FilePlan): Descriptor => ({
  mediaType: "",
  digest: key,
  size,
});

async function putTogether(
  one: FileAssembly,
  proven: ReadonlySet<PlannedPart>,
  front: FrontTeller,
): Promise<void> {
  const { plan, file, context } = one;
  const { assembly, partsAtOnce = mostAtOnce } = context;
  const { signal } = context.session;
  const wanted = plan.parts.filter((part) => !proven.has(part));
  // One blob that is the whole file brings all that is missing of it at once.
  const isOwn = (part: PlannedPart): boolean =>
    plan.blob !== undefined || assembly.claim(part.stored.digest, plan);
  const own = wanted.filter(isOwn);
  const claimed = new Set(own);
  const borrowed = wanted.filter((part) => !claimed.has(part));
  try {
    const isLocal = (part: PlannedPart): boolean =>
      isThere(file, part) || assembly.seeds.of(part.stored.digest).length > 0;
    const local = own.filter(isLocal);
    const remote = own.filter((part) => !isLocal(part));
    const { proven: copied, others } = splitProven(local, one);
    const lost: PlannedPart[] = [];
    const copy = async (parts: readonly SeededPart[], stop: AbortSignal): Promise<void> => {
      if (await copyProven(one, parts, stop)) {
        for (const { part } of parts) front.verify(part);
        return;
      }
      // Hashed now, wherever they are taken from.
      for (const { part } of parts) await take(part, stop);
    };
    const take = async (part: PlannedPart, stop: AbortSignal): Promise<void> => {
      if (await takeLocal(one, part, stop)) front.verify(part);
      else lost.push(part);
    };
    const takeAll = async (stop: AbortSignal): Promise<void> => {
      await parallel(copied, context.workers.size, stop, copy);
      await parallel(others, context.workers.size, stop, take);
    };
    const fetch = async (part: PlannedPart, stop: AbortSignal): Promise<void> => {
      one.following -= part.stored.stored.size;
      await fetchPart(one, part, stop);
      front.verify(part);
    };
    const fetchAll = async (parts: readonly PlannedPart[], stop: AbortSignal): Promise<void> => {
      one.following = parts.reduce((sum, { stored }) => sum + stored.stored.size, 0);
      await parallel(inOrder(parts, one.progress), partsAtOnce, stop, fetch);
    };
    if (plan.blob === undefined) {
      const queues = [takeAll, (stop: AbortSignal) => fetchAll(remote, stop)];
      await parallel(queues, queues.length, signal, (work, stop) => work(stop));
      await fetchAll(lost, signal);
    } else {
      await takeAll(signal);
      const rest = [...lost, ...remote];
      await fetchTogether(one, plan.blob, rest, signal);
      for (const part of rest) front.verify(part);
    }
  } finally {
    for (const { stored } of plan.parts) assembly.release(stored.digest, plan);
  }
  await parallel(borrowed, partsAtOnce, signal, async (part, stop) => {
    const lent = await assembly.borrow(part.stored.digest);
    try {
      if (lent !== undefined && (await copyPart(one, part, lent, stop))) {
        front.verify(part);
        return;
      }
    } finally {
      lent?.giveBack();
    }
    await fetchPart(one, part, stop);
    front.verify(part);
  });
}

/** A journal notes the ranges of so many parts in any order. */
const mostSorted = 1000;

/**
 * The order in which parts are fetched: the largest first, so that all connections end at about the same time. In the
 * order of the file where somebody reads it meanwhile, and where the ranges are too many for the journal else.
 */
const inOrder = (parts: readonly PlannedPart[], { front }: FetchProgress): readonly PlannedPart[] =>
  front !== undefined || parts.length > mostSorted
    ? parts
    : parts.toSorted((a, b) => b.stored.stored.size - a.stored.stored.size);

/** Removes what killed runs have left of parts that they had not decoded yet. */
export async function removeEncoded(place: JournalPlace, { parts }: FilePlan): Promise<void> {
  for (const { stored, once } of parts) {
    if (stored.encoding === "none" && once !== undefined) continue;
    await removeGrown(encodedPlace(place, stored));
  }
}

async function checkWhole(
  entry: WeightEntry,
  { claim, size }: FilePlan,
  { partial }: JournalPlace,
  { session, source, workers }: FetchContext,
): Promise<void> {
  const [found] = await workers.hash([{ path: partial, start: 0, end: size }], {
    signal: session.signal,
  });
  if (found?.digest === claim) return;
  const error = new OcibundleError(
    "integrity",
    `${labelOf(entry)}: its parts are valid, but the whole file does not match digest ${claim}`,
  );
  throw explained(error, entry, source);
}
