import type { BlobOutcome, BlobToMove, ContentWriter } from "../../oci/content.ts";
import { type Digest, shortDigest } from "../../oci/digest.ts";
import type { EmitEvent, FileAmount } from "../../transfer/events.ts";
import { countResumed, type ResumedBytes } from "../../transfer/resumed-bytes.ts";
import { planTransfer, runTransfer, type TransferPlan } from "../../transfer/transfer.ts";
import type { ContentGraph } from "./content-graph.ts";
import { keepChildren } from "./keep-children.ts";
import { knownBlobs, lacksBlob } from "./known-blobs.ts";
import type { Amount } from "../../report/amount.ts";
import { checkTaken, checkSources, confirmBlobs, foresee } from "./check-blobs.ts";
import { withHints } from "./writer-with-hints.ts";

/** How a graph is moved; tags are set when everything else is there. */
export interface PublishOptions {
  signal: AbortSignal;
  emit: EmitEvent;
  /** Blobs moved at once. */
  concurrency: number | undefined;
  /** `write` where the target is on this machine. */
  phase?: "upload" | "write";
  /** The tag that is to stand for the root; without one it is known by its digest alone. */
  tag: string | undefined;
  /** Blobs that were sent before, and the bytes of them that an earlier run had sent. */
  sentBefore?: ReadonlyMap<Digest, number> | undefined;
  /** A version in the same repository that has many of the blobs: a tag or a digest. */
  base?: string | undefined;
  /** Further tags for the root. */
  moreTags?: readonly string[];
  /** Only report what would be done. */
  dryRun?: boolean;
  /** Ask for every blob, also where the target has a manifest that names it. */
  checkBlobs?: boolean | undefined;
  /** Further tags for manifests below the root. */
  childTags?: ReadonlyMap<Digest, string>;
}

/** What moving a model came to. Sizes in bytes; every blob is counted once. */
export interface Published {
  /** Without the bytes of `resumed`. */
  sent: Amount;
  /** Of the blobs sent, what an earlier run had sent. */
  resumed: Amount;
  mounted: Amount;
  present: Amount;
  /** The tags that stand for the root now, or with `dryRun` would. */
  tags: string[];
  /** What became of each blob, or with `dryRun` would. */
  outcomes: Map<Digest, BlobOutcome>;
}

/**
 * Moves a model to where it is to be: blobs, then child manifests by digest, then the root under the
 * tag, in one request at the very end. A reader never sees the tag on something incomplete.
 */
export async function publish(
  graph: ContentGraph,
  target: ContentWriter,
  options: PublishOptions,
): Promise<Published> {
  for (const { digest, urls = [] } of graph.leftOut ?? []) {
    const where = urls[0] === undefined ? "" : `; clients download it from ${urls[0]}`;
    options.emit({
      type: "warning",
      message: `layer ${shortDigest(digest)} is non-distributable and missing at the source: skipped${where}`,
    });
  }
  const known =
    options.checkBlobs === true
      ? noBlobs
      : await knownBlobs(
          graph,
          target,
          options.signal,
          [options.tag, options.base].filter((version) => version !== undefined),
        );
  const moved: Moved = { outcomes: new Map(), resumed: countResumed(options.emit) };
  try {
    return await publishBeside(known, graph, target, { ...options, moved });
  } catch (error) {
    // What was there a moment ago may have been taken away since: each is asked for once more.
    if (options.dryRun === true || !lacksBlob(error)) throw error;
    const message = `${target.name}: the registry has lost blobs; checking each blob`;
    options.emit({ type: "detail", message });
    return publishBeside(noBlobs, graph, target, { ...options, moved });
  }
}

const noBlobs: ReadonlySet<Digest> = new Set();

/** What this run has moved so far: a second attempt finds it there, and it was not there before the run. */
interface Moved {
  outcomes: Map<Digest, BlobOutcome>;
  resumed: ResumedBytes;
}

/** Publishes, with `known` blobs taken for present. */
async function publishBeside(
  known: ReadonlySet<Digest>,
  graph: ContentGraph,
  unexplained: ContentWriter,
  options: PublishOptions & { moved: Moved },
): Promise<Published> {
  const target = withHints(unexplained);
  const { signal, emit, concurrency, phase, tag, moved } = options;
  const before = options.sentBefore;
  /** What became of a blob that this run has moved already. */
  const earlier = (digest: Digest): BlobOutcome | undefined =>
    moved.outcomes.get(digest) ?? (before?.has(digest) === true ? "sent" : undefined);
  // What was sent a moment ago is there, tag or no tag; and who wants each blob asked for is not answered by one.
  const asksAll = known === noBlobs || (before !== undefined && before.size > 0);
  const asked: Pick<ContentWriter, "hasBlob" | "isNew"> = {
    hasBlob: async (descriptor, stop) =>
      known.has(descriptor.digest) || (await target.hasBlob(descriptor, stop)),
    ...(asksAll || target.isNew === undefined ? {} : { isNew: target.isNew }),
  };
  const plan = await planTransfer(graph.blobs, asked, { signal, emit, concurrency, earlier });
  for (const blob of plan.missing) checkTaken(blob, target);
  if (phase !== "write") tellPlan(plan, earlier, emit);
  const outcomes = new Map<Digest, BlobOutcome>();
  for (const { descriptor } of plan.present) {
    outcomes.set(descriptor.digest, earlier(descriptor.digest) ?? "present");
  }
  await confirmBlobs(graph.blobs, plan.present, target, signal);
  if (options.dryRun === true) {
    const foreseen = await foresee(plan.missing, target, signal);
    for (const [blob, outcome] of foreseen) outcomes.set(blob.descriptor.digest, outcome);
    const unmounted = foreseen.filter(([, outcome]) => outcome === "sent").map(([blob]) => blob);
    await checkSources(unmounted, signal);
  } else {
    // What another repository may have is left to the attempt to mount it: its source need not be here.
    const unmounted = plan.missing.filter(({ mountFrom = [] }) => mountFrom.length === 0);
    await checkSources(unmounted, signal);
    const done = await runTransfer(plan, target, {
      signal,
      emit: moved.resumed.emit,
      concurrency,
      phase,
    });
    for (const [digest, outcome] of done) {
      outcomes.set(digest, outcome);
      moved.outcomes.set(digest, outcome);
    }
    const mounted = plan.missing.filter((blob) => done.get(blob.descriptor.digest) === "mounted");
    await confirmBlobs(graph.blobs, mounted, target, signal);
    await writeManifests(graph, target, options);
  }
  const tags = [...(tag === undefined ? [] : [tag]), ...(options.moreTags ?? [])];
  return {
    ...amounts(graph.blobs, outcomes, resumedOf(moved.resumed.total(), before)),
    tags,
    outcomes,
  };
}

/** Child manifests by digest, then the root under its tags. */
async function writeManifests(
  { root, children }: ContentGraph,
  target: ContentWriter,
  options: PublishOptions,
): Promise<void> {
  const { signal, tag, childTags, moreTags = [] } = options;
  for (const child of children) {
    await target.writeManifest(child, childTags?.get(child.digest), signal);
  }
  // A child's tag may have moved off another child, and the root is refused without that.
  if (childTags?.size) await keepChildren(children, target, options);
  await target.writeManifest(root, tag, signal);
  for (const more of moreTags) await target.writeManifest(root, more, signal);
  if (tag !== undefined) await keepChildren(children, target, options);
}

/** What earlier runs had sent: of the blobs of this one, and of those that were sent before it. */
function resumedOf(counted: Amount, before: PublishOptions["sentBefore"]): Amount {
  const earlier = [...(before?.values() ?? [])].filter((bytes) => bytes > 0);
  return {
    blobs: counted.blobs + earlier.length,
    bytes: counted.bytes + earlier.reduce((sum, bytes) => sum + bytes, 0),
  };
}

/** How many blobs came to which outcome, and their bytes. */
function amounts(
  blobs: readonly BlobToMove[],
  outcomes: ReadonlyMap<Digest, BlobOutcome>,
  resumed: Amount,
): Pick<Published, "sent" | "resumed" | "mounted" | "present"> {
  const amount = (wanted: BlobOutcome): Amount => {
    const those = blobs.filter(({ descriptor }) => outcomes.get(descriptor.digest) === wanted);
    return {
      blobs: those.length,
      bytes: those.reduce((sum, { descriptor }) => sum + descriptor.size, 0),
    };
  };
  const sent = amount("sent");
  return {
    sent: { ...sent, bytes: sent.bytes - resumed.bytes },
    resumed,
    mounted: amount("mounted"),
    present: amount("present"),
  };
}

/** The weight files among some blobs. */
function amountOf(blobs: readonly BlobToMove[]): FileAmount {
  const weights = blobs.filter(({ kind }) => kind === "weight");
  const bytes = weights.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  return { files: weights.length, bytes };
}

/** Says how much of the weights the target has, and what of that this run has moved there. */
function tellPlan(
  { present, missing }: TransferPlan,
  earlier: (digest: Digest) => BlobOutcome | undefined,
  emit: EmitEvent,
): void {
  const all = amountOf([...present, ...missing]);
  if (all.files === 0) return;
  const moved = amountOf(
    present.filter(({ descriptor }) => earlier(descriptor.digest) !== undefined),
  );
  emit({ type: "plan", all, present: amountOf(present), moved, missing: amountOf(missing) });
}
