import pLimit from "p-limit";
import { OcibundleError, withContext } from "../errors.ts";
import type { BlobOutcome, BlobToMove, ContentWriter } from "../oci/content.ts";
import type { Digest } from "../oci/digest.ts";
import { parallel } from "../flow/parallel.ts";
import { withinOpenFiles } from "../runtime/open-files.ts";
import type { EmitEvent } from "./events.ts";
import { leastMeasured } from "./units.ts";

/** Blobs that are sent at once unless told otherwise. */
const defaultUploads = 6;

/**
 * Small blobs are sent by twice as many at once: a stream takes a while to gain speed, and waits for answers
 * when it ends. In bytes.
 */
const smallBlob = 64 * 1024 * 1024;
const smallUploads = 12;

/** Of more blobs than this, a small one goes first, which shows what else the target takes. */
const fewBlobs = 16;

/** Blobs that are asked for at once: small requests that mostly wait. */
const checksAtOnce = 16;

/** How blobs are compared and moved. */
export interface TransferOptions {
  signal: AbortSignal;
  emit: EmitEvent;
  /** Blobs that are sent at once; when undefined, 12 of which at most 6 are large. */
  concurrency?: number | undefined;
  /** What moving is called in events: `write` where the target is on this machine. */
  phase?: "upload" | "write" | undefined;
  /** How long the target may take to tell whether it is new, in milliseconds; 10 seconds unless given. */
  newWithin?: number | undefined;
}

/** How blobs are compared. */
export interface PlanOptions extends TransferOptions {
  /** What became of a blob that this run has moved before; undefined for any other. */
  earlier?: (digest: Digest) => BlobOutcome | undefined;
}

/** What the target has and what it lacks; each digest once. */
export interface TransferPlan {
  present: BlobToMove[];
  /** Largest first: the longest transfer should not start last. */
  missing: BlobToMove[];
  /** Of what is missing, in bytes. */
  bytes: number;
}

/**
 * Of more blobs than this, so many are asked for first. The largest are what an earlier push that did not end has sent
 * first: where none of them is there, in a place without any tag, the others are not asked for.
 */
const manyBlobs = 64;
const askedFirst = 16;

/**
 * Asks the target which blobs it has. A blob that is not asked for counts as missing, never as present. Throws the
 * first failure, with the blob's label.
 */
export async function planTransfer(
  blobs: readonly BlobToMove[],
  target: Pick<ContentWriter, "hasBlob" | "isNew">,
  { signal, emit, concurrency, newWithin = 10_000, earlier }: PlanOptions,
): Promise<TransferPlan> {
  const unique = mergeByDigest(blobs);
  const whole = unique.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  emit({ type: "phase", phase: "check", items: unique.length, bytes: whole });
  const plan: TransferPlan = { present: [], missing: [], bytes: 0 };
  const atOnce = withinOpenFiles(Math.max(checksAtOnce, concurrency ?? 0), 2);
  const ask = (some: readonly BlobToMove[]) =>
    parallel(some, atOnce, signal, (blob, stop) =>
      about(blob, async () => {
        const has = await target.hasBlob(blob.descriptor, stop);
        (has ? plan.present : plan.missing).push(blob);
        if (!has) return;
        const outcome = earlier?.(blob.descriptor.digest) ?? "present";
        emit({ type: "done", phase: "check", ...asItem(blob), outcome });
      }),
    );
  const rank = new Map(unique.map((blob, index) => [blob, index]));
  const asGiven = (a: BlobToMove, b: BlobToMove) => (rank.get(a) ?? 0) - (rank.get(b) ?? 0);
  const largestFirst = (a: BlobToMove, b: BlobToMove) =>
    b.descriptor.size - a.descriptor.size || asGiven(a, b);
  if (unique.length > manyBlobs && target.isNew !== undefined) {
    const sorted = unique.toSorted(largestFirst);
    const rest = sorted.slice(askedFirst);
    // Both questions at once. Where a blob is there, the other answer is not waited for; one that is late is none.
    const answered = new AbortController();
    const late = AbortSignal.timeout(newWithin);
    const told = AbortSignal.any([signal, answered.signal, late]);
    const isNew = target.isNew(told).catch(() => false);
    let skipsRest: boolean;
    try {
      await ask(sorted.slice(0, askedFirst));
      skipsRest = plan.present.length === 0 && (await isNew);
    } finally {
      answered.abort();
    }
    if (skipsRest) plan.missing.push(...rest);
    else await ask(rest);
  } else await ask(unique);
  plan.present.sort(asGiven);
  plan.missing.sort(largestFirst);
  plan.bytes = plan.missing.reduce((sum, blob) => sum + blob.descriptor.size, 0);
  return plan;
}

/**
 * Transfers the missing blobs of a plan, several at once. Resolves to the outcome of each. The first
 * failure ends the others and is thrown with the blob's label.
 */
export async function runTransfer(
  plan: TransferPlan,
  target: ContentWriter,
  { signal, emit, concurrency, phase = "upload" }: TransferOptions,
): Promise<Map<Digest, BlobOutcome>> {
  const { missing, bytes } = plan;
  const outcomes = new Map<Digest, BlobOutcome>();
  if (missing.length === 0) return outcomes;
  emit({ type: "phase", phase, items: missing.length, bytes });
  const send = (blob: BlobToMove, stop: AbortSignal, ofMany = false): Promise<void> =>
    about(blob, async () => {
      const { descriptor } = blob;
      const item = itemOf(blob);
      emit({ type: "start", phase, ...asItem(blob) });
      const outcome = await target.writeBlob(blob, {
        signal: stop,
        ofMany,
        onBytes: (moved, resumed) => {
          const before = resumed === true ? { resumed } : {};
          emit({ type: "progress", phase, item, bytes: moved, ...before });
        },
      });
      outcomes.set(descriptor.digest, outcome);
      emit({ type: "done", phase, item, outcome });
    });
  const isMany = phase !== "write" && missing.length > fewBlobs;
  const rest = isMany ? quickestMeasureFirst(missing.slice(0, -1)) : missing;
  const [smallest] = missing.slice(rest.length);
  if (smallest !== undefined) await send(smallest, signal, true);
  if (concurrency !== undefined) {
    await parallel(rest, withinOpenFiles(concurrency, 4), signal, (blob, stop) => send(blob, stop));
    return outcomes;
  }
  const large = pLimit(defaultUploads);
  await parallel(rest, withinOpenFiles(smallUploads, 4), signal, (blob, stop) =>
    blob.descriptor.size >= smallBlob ? large(send, blob, stop) : send(blob, stop),
  );
  return outcomes;
}

/**
 * The same blobs, largest first, but for the smallest that tells how fast bodies go out: the others wait for that, and
 * large ones are sent in fewer requests then.
 */
function quickestMeasureFirst(blobs: readonly BlobToMove[]): readonly BlobToMove[] {
  const at = blobs.findLastIndex(({ descriptor }) => descriptor.size >= leastMeasured);
  return at === -1 ? blobs : [...blobs.slice(at, at + 1), ...blobs.toSpliced(at, 1)];
}

const itemOf = (blob: BlobToMove): string => blob.name ?? blob.label;

/** A blob as events name it. */
const asItem = (blob: BlobToMove) => ({
  item: itemOf(blob),
  group: blob.group,
  bytes: blob.descriptor.size,
  ...(blob.file === undefined ? {} : { file: blob.file }),
});

/** Does work on one blob; its label goes into the errors. */
async function about(blob: BlobToMove, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw withContext(blob.label, error);
  }
}

/** One entry for each digest; the places to mount from are joined. Throws `integrity` on two sizes. */
function mergeByDigest(blobs: readonly BlobToMove[]): BlobToMove[] {
  const merged = new Map<Digest, BlobToMove>();
  for (const blob of blobs) {
    const { digest, size } = blob.descriptor;
    const known = merged.get(digest);
    if (known !== undefined && known.descriptor.size !== size) {
      throw new OcibundleError(
        "integrity",
        `${known.label} and ${blob.label} have digest ${digest} but different sizes: ` +
          `${known.descriptor.size} and ${size} bytes`,
      );
    }
    if (known === undefined) merged.set(digest, blob);
    else if (blob.mountFrom !== undefined) {
      const mountFrom = [...new Set([...(known.mountFrom ?? []), ...blob.mountFrom])];
      merged.set(digest, { ...known, mountFrom });
    }
  }
  return [...merged.values()];
}
