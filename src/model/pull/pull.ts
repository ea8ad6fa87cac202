import { withContext } from "../../errors.ts";
import { openTargetDirectory } from "../../store/placement/target-directory.ts";
import { linkModeOf } from "../session/link-mode.ts";
import type { HeldLock } from "../../store/locks/lock-file.ts";
import { countResumed } from "../../transfer/resumed-bytes.ts";
import { markEarlyFailure, takeBackEarlyFailure } from "./early-failure.ts";
import { lookAtReady, markReplaced, openMarkers } from "./markers.ts";
import type { Seen } from "./pull-context.ts";
import { sayUnlocked } from "./pull-warnings.ts";
import { type HubSnapshot, writeSnapshot } from "./hub-cache.ts";
import { notePulled, stageOf } from "./note-placed.ts";
import { needsLocks, type Stage } from "./sync.ts";
import { filesOf, markedTargets, reportedFiles } from "./pull-files.ts";
import { selectEntries, type WantedFile, withoutFiles } from "./pull-plan.ts";
import { faultOfDirectory, isReadOnly, unwritable } from "../../runtime/file-faults.ts";
import { lockDirectory } from "./lock-directory.ts";
import { findFiles } from "./pull-entries.ts";
import { type JobContext, openSession, type Session } from "../session/session.ts";
import type { PullReport } from "../../report/pull.ts";
import { fillDirectory } from "./fill-directory.ts";
import type { PullRequest } from "./pull-request.ts";
import { openPull } from "./open-pull.ts";

/** Puts a model's weights under a directory at their dest paths, each file verified. */
export async function pullWeights(job: JobContext, request: PullRequest): Promise<PullReport> {
  const counted = countResumed(job.emit);
  const progress = { isMarked: false, fetched: 0 };
  try {
    const session = openSession({ ...job, emit: counted.emit });
    const report = await pullMarked(session, request, progress);
    const { fetched } = progress;
    return { ...report, fetched, resumed: counted.total().bytes, reused: counted.reused() };
  } catch (error) {
    if (!progress.isMarked) await markEarlyFailure(job.cwd, request.output, error, job.signal);
    throw error;
  }
}

/** Sets `isMarked` when a failure was said where those look who wait for the files; counts what was fetched. */
async function pullMarked(
  session: Session,
  request: PullRequest,
  progress: { isMarked: boolean; fetched: number },
): Promise<Omit<PullReport, "fetched" | "resumed" | "reused">> {
  const started = performance.now();
  const onFetched = (bytes: number): void => {
    progress.fetched += bytes;
  };
  const link = linkModeOf(session, request);
  const { place, name, source, root, contents, digest, dir, close } = await openPull(
    session,
    request,
  );
  try {
    await using found = await findFiles(contents, {
      session,
      source,
      dir,
      request: { ...request, onFetched },
    });
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
      const fault = alone ? undefined : await faultOfDirectory(dir);
      if (alone) markers.alone();
      // Where nothing can be written, no two pulls get in each other's way.
      else if (!isReadOnly(fault)) sayUnlocked({ session, seen }, dir);
      const made: { hub?: HubSnapshot } = {};
      const noted = { ...session, dir, source: place.repository?.fullName ?? place.text };
      if (sync && !alone) throw fault === undefined ? needsLocks(dir) : unwritable(dir, fault);
      isReplacing = sync;
      stage = sync
        ? await stageOf(noted, { digest, ready: await markers.ready(), files, targets, force })
        : undefined;
      isReplacing = stage !== undefined;
      const into = stage ?? { root: dir, files, markers };
      const outcomes = await fillDirectory(
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
          unpacked: found.unpacked,
          plans: found.plans,
          markers: into.markers,
          digest,
          alone,
          seen,
          onFetched,
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
          // What was unpacked without a cache is a file of its own when the cache of this run is gone.
          found.session === session ? seen.ways : undefined,
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
