import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { withContext } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { createWorkerPool } from "../../runtime/worker-pool.ts";
import { openTargetDirectory } from "../../store/placement/target-directory.ts";
import { type LinkMode, linkModeOf } from "../session/link-mode.ts";
import type { HeldLock } from "../../store/locks/lock-file.ts";
import { withinOpenFiles } from "../../runtime/open-files.ts";
import { countResumed } from "../../transfer/resumed-bytes.ts";
import { createDownloader } from "../../transfer/download/download.ts";
import { checkFiles } from "./check-files.ts";
import { markEarlyFailure, takeBackEarlyFailure } from "./early-failure.ts";
import { lookAtReady, type Markers, markReplaced, openMarkers } from "./markers.ts";
import { fetchAll, type Outcomes } from "./fetch-all.ts";
import type { FetchContext, PullSource, Seen } from "./pull-context.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import type { FilePlan } from "../parts/file-plan.ts";
import { noteParts } from "./part-pull.ts";
import { goOnWithoutCache, sayUnlocked } from "./pull-warnings.ts";
import { type HubSnapshot, writeSnapshot } from "./hub-cache.ts";
import { notePulled, stageOf } from "./note-placed.ts";
import { needsLocks, type Stage } from "./sync.ts";
import { filesOf, markedTargets, reportedFiles } from "./pull-files.ts";
import { selectEntries, type WantedFile, withoutFiles } from "./pull-plan.ts";
import { fsyncPulled } from "./fsync.ts";
import { lockDirectory } from "./lock-directory.ts";
import { requireImage } from "../graph/require-image.ts";
import { readAllContents } from "../graph/weights-contents.ts";
import { findFiles } from "./pull-entries.ts";
import { type JobContext, openSession, type Session } from "../session/session.ts";
import { modelPlace } from "../places/place.ts";
import { openSigned } from "../trust/open-signed.ts";
import type { VerifySettings } from "../session/verify-settings.ts";
import type { PullReport } from "../../report/pull.ts";

export interface PullRequest {
  source: string;
  /** The directory that the dests go under. */
  output: string;
  only: readonly string[];
  /** The directory of an image whose files are wanted. */
  path?: string | undefined;
  /** Whether files with other content are replaced. */
  force: boolean;
  useCache: boolean;
  /** Files and directories that parts of the weights are looked for in. */
  seeds?: readonly string[] | undefined;
  /** Whether the digest of each file that is put together from parts is checked as well. */
  checkWhole?: boolean | undefined;
  /** Who must have signed it; as the configuration has it unless given. */
  requires?: VerifySettings | undefined;
  /** How files come from the cache: the flag; else the environment and the configuration say it. */
  link?: LinkMode | undefined;
  /** Whether the directory is to have what the model has: files of earlier versions go, all at once. */
  sync?: boolean | undefined;
  /** The id that the model is to have in a cache of huggingface_hub; `output` is its directory there. */
  hubId?: string | undefined;
}

/** Puts a model's weights under a directory at their dest paths, each file verified. */
export async function pullWeights(job: JobContext, request: PullRequest): Promise<PullReport> {
  const counted = countResumed(job.emit);
  const progress = { isMarked: false };
  try {
    const session = openSession({ ...job, emit: counted.emit });
    const report = await pullMarked(session, request, progress);
    return { ...report, resumed: counted.total().bytes, reused: counted.reused() };
  } catch (error) {
    if (!progress.isMarked) await markEarlyFailure(job.cwd, request.output, error, job.signal);
    throw error;
  }
}

/** Sets `isMarked` when a failure was said where those look who wait for the files. */
async function pullMarked(
  session: Session,
  request: PullRequest,
  progress: { isMarked: boolean },
): Promise<Omit<PullReport, "resumed" | "reused">> {
  const started = performance.now();
  const link = linkModeOf(session, request);
  const place = await modelPlace(session, request.source);
  const { reader, root, name, close } = await openSigned(session, place, request.requires);
  try {
    const dir = resolve(session.cwd, request.output);
    const source = { ...reader, name };
    const contents = await readAllContents(reader, root, session.signal, {
      forImage: request.path !== undefined,
    });
    requireImage(contents, request.path, name);
    const digest = (contents.length === 1 ? contents[0]?.raw : root)?.digest ?? root.digest;
    await using found = await findFiles(contents, { session, source, dir, request });
    if (found.entries.length === 0) throw withoutFiles(name);
    const entries = selectEntries(found.entries, request.only);
    const hub =
      request.hubId === undefined
        ? undefined
        : { id: request.hubId, tag: place.tag, digest, entries: found.entries };
    const files = await filesOf(dir, entries, hub !== undefined);
    const targets = hub === undefined ? markedTargets(contents, entries) : [];
    const dests = hub === undefined ? files.map((file) => file.parts) : [];
    const markers = openMarkers(dir, dests, targets);
    await takeBackEarlyFailure(dir, markers);
    await (await openTargetDirectory(dir, [])).close();
    let turn: HeldLock | undefined;
    let stage: Stage | undefined;
    const { sync = false, force } = request;
    /** Whether a failure leaves what was there before as it was. */
    let isReplacing = false;
    try {
      turn = await lockDirectory(session, dir, markers.make);
      // A lock in the cache says nothing to who shares the directory and not the cache.
      const alone = turn?.path.startsWith(dir) === true;
      const seen: Seen = {};
      if (alone) markers.alone();
      else sayUnlocked({ session, seen }, dir);
      const made: { hub?: HubSnapshot } = {};
      const noted = { ...session, dir, source: place.repository?.fullName ?? place.text };
      if (sync && !alone) throw needsLocks(dir);
      isReplacing = sync;
      stage = sync
        ? await stageOf(noted, { digest, ready: await markers.ready(), files, targets, force })
        : undefined;
      isReplacing = stage !== undefined;
      const into = stage ?? { root: dir, files, markers };
      const outcomes = await pullFiles(
        found.session,
        {
          ...request,
          force: force || stage !== undefined,
          useCache: found.useCache,
        },
        {
          async finish() {
            if (hub === undefined) return;
            const { signal } = session;
            made.hub = await writeSnapshot(dir, hub, entries, { force, signal });
          },
          link,
          source,
          root: into.root,
          files: into.files,
          parts: found.parts,
          plans: found.plans,
          markers: into.markers,
          digest,
          alone,
          seen,
        },
      );
      await stage?.swap();
      // Those above what was exchanged still speak of the version before.
      if (stage !== undefined) await markReplaced(openMarkers(dir, dests, targets), digest);
      const isKept = (file: WantedFile): boolean => !outcomes.has(file);
      const besides = { hub: hub !== undefined, notes: made.hub?.notes ?? [] };
      await notePulled({ ...noted, ...besides, digest, files: into.files, isKept, sync });
      return {
        name,
        reference: place.pinned(root.digest),
        digest,
        formats: [...new Set(contents.map(({ format }) => format))],
        dir,
        files: reportedFiles(
          entries,
          outcomes,
          into.files,
          seen.ways,
          hub && made.hub && { ...hub, ...made.hub },
        ).map((file) =>
          stage === undefined ? file : { ...file, path: stage.finalPath(file.path) },
        ),
        hfCache: made.hub?.report ?? null,
        milliseconds: Math.round(performance.now() - started),
      };
    } catch (error) {
      // Who was interrupted has not failed: the next run goes on from what is there.
      if (!session.signal.aborted) {
        const message = error instanceof Error ? error.message : String(error);
        // Before the first download there is no such directory: then it is as if the dests were not known.
        // Of a version that did not take the place of the last one nothing is said where that one is ready.
        const isLeft = isReplacing || (sync && (await lookAtReady(markers)) !== undefined);
        progress.isMarked = isLeft || (await markers.failed(message));
      }
      throw error;
    } finally {
      turn?.release();
      await stage?.markers.close();
      await markers.close();
    }
  } catch (error) {
    throw withContext(`pull ${name}`, error);
  } finally {
    await close();
  }
}

interface Pull {
  source: PullSource;
  /** The directory pulled into. */
  root: string;
  files: readonly WantedFile[];
  markers: Markers;
  /** Files that are a part of a blob. */
  parts: FetchContext["parts"];
  /** Files that are put together from parts. */
  plans: ReadonlyMap<WeightEntry, FilePlan>;
  /** Of the weights artifact. */
  digest: Digest;
  /** Whether no other process writes into the directory at the same time. */
  alone: boolean;
  link: LinkMode;
  seen: Seen;
  /** What is to be done once all files are in their places, before it is said that they are. */
  finish(): Promise<void>;
}

async function pullFiles(
  session: Session,
  request: Omit<PullRequest, "source">,
  { source, root, files, parts, plans, markers, digest, alone, link, seen, finish }: Pull,
): Promise<Outcomes> {
  const { emit, cache, flags } = session;
  const { force, useCache } = request;
  const outcomes = new Map<WantedFile, "fetched" | "cached">();
  const workers = createWorkerPool(withinOpenFiles(availableParallelism(), 8));
  const release = cache.holdTemp();
  try {
    const checked = await checkFiles(session, workers, { ...request, root, files, plans, link });
    const { plan, records } = checked;
    await checked.save();
    for (const { entry } of plan.kept) {
      emit({ type: "done", phase: "check", item: entry.name, outcome: "kept" });
    }
    if (plan.wanted.length > 0) {
      const tooSmall = await checked.findSpace();
      await markers.downloading(digest);
      const downloader = createDownloader({ connections: flags.concurrency, workers, emit });
      const assembly = await checked.findParts();
      const context: FetchContext = {
        session,
        source,
        downloader,
        workers,
        assembly,
        parts,
        root,
        force,
        useCache,
        alone,
        link,
        seen,
      };
      if (tooSmall !== undefined) goOnWithoutCache(context, tooSmall);
      for (const [file, outcome] of await fetchAll(plan.wanted, context))
        outcomes.set(file, outcome);
    }
    const isNew = plan.wanted.length > 0 || (await markers.ready()) !== digest;
    if (isNew) {
      await fsyncPulled(root, files, { kept: plan.kept, alone });
      for (const { entry, path } of plan.wanted) {
        const made = plans.get(entry);
        if (made !== undefined) await noteParts(made, { path, cache, records });
      }
    }
    await finish();
    if (isNew) await markers.done(digest);
    return outcomes;
  } finally {
    workers.close();
    await release().catch(() => undefined);
  }
}
