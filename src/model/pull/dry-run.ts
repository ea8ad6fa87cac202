import { availableParallelism } from "node:os";
import { lstat, stat } from "node:fs/promises";
import { join } from "node:path";
import { OcibundleError, withContext } from "../../errors.ts";
import type { PullPlanReport } from "../../report/pull.ts";
import { withinOpenFiles } from "../../runtime/open-files.ts";
import { createWorkerPool } from "../../runtime/worker-pool.ts";
import { readOnlyCache } from "../../store/cache/cache.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import { type LinkMode, linkModeOf } from "../session/link-mode.ts";
import { type JobContext, openSession, type Session } from "../session/session.ts";
import { checkFiles } from "./check-files.ts";
import { countFetch, type FetchCount } from "./count-fetch.ts";
import { checkSnapshot, hubPaths, snapshotOf } from "./hub-cache.ts";
import { type ListedAhead, listAhead } from "./list-ahead.ts";
import { lookAtReady, type MarkedTarget, openMarkers } from "./markers.ts";
import { lookAtStageOf } from "./note-placed.ts";
import { filesOf, markedTargets } from "./pull-files.ts";
import { refuseReadOnly, selectEntries, type WantedFile, withoutFiles } from "./pull-plan.ts";
import type { PullRequest } from "./pull-request.ts";
import { openPull } from "./open-pull.ts";

/**
 * What a pull would do. Nothing is written: not to the directory, which need not exist, nor to the cache. Fails as
 * the pull would, for what can be known before it.
 */
export async function planWeights(job: JobContext, request: PullRequest): Promise<PullPlanReport> {
  const opened = openSession(job);
  const session = { ...opened, cache: readOnlyCache(opened.cache) };
  const link = linkModeOf(session, request);
  const { place, name, source, root, contents, digest, dir, close } = await openPull(
    session,
    request,
  );
  try {
    const listed = await listAhead(contents, { session, source, request });
    if (listed.entries.length + listed.archives.length === 0) throw withoutFiles(name);
    const entries = selectListed(listed, request.only);
    const hub =
      request.hubId === undefined
        ? undefined
        : { id: request.hubId, tag: place.tag, digest, entries: listed.entries };
    const files = await filesOf(dir, entries, hub !== undefined, () => {
      const message =
        "names of files differ only in case: the pull fails on a case-insensitive file system";
      session.emit({ type: "warning", message });
      return Promise.resolve(false);
    });
    await checkDirectories(dir, files);
    if (hub !== undefined) await checkSnapshot(dir, hub, entries, request.force);
    const { force } = request;
    const targets = hub === undefined ? markedTargets(contents, entries) : [];
    const stage =
      request.sync === true
        ? await lookAtStageOf(
            { ...session, dir, source: place.repository?.fullName ?? place.text },
            { digest, ready: await readyIn(dir, files, targets), files, targets, force },
          )
        : { replaces: false, removed: [] };
    const { kept, count } = await planFiles(session, {
      request,
      listed,
      dir,
      files,
      stage,
      link,
    });
    const paths = hub === undefined ? undefined : hubPaths(hub.entries);
    const byDigest = new Map(files.map((file) => [file.entry.digestOriginal, file]));
    const byEntry = new Map(files.map((file) => [file.entry, file]));
    return {
      dryRun: true,
      name,
      reference: place.pinned(root.digest),
      digest,
      formats: [...new Set(contents.map(({ format }) => format))],
      dir,
      files: entries.map((entry) => {
        const file = byEntry.get(entry) ?? byDigest.get(entry.digestOriginal);
        if (file === undefined) throw new TypeError(`no file was made for ${entry.dest}`);
        const path = paths?.get(entry);
        return {
          name: entry.name,
          path:
            hub === undefined || path === undefined
              ? file.path
              : join(snapshotOf(dir, hub).snapshot, path),
          size: entry.sizeUncompressed,
          outcome: kept.has(file) ? "kept" : count.cached.has(file) ? "cached" : "to-fetch",
        };
      }),
      archives: listed.archives,
      fetch: count.fetch + listed.archives.reduce((sum, { size }) => sum + size, 0),
      resumed: count.resumed,
      reused: count.reused,
      removed: stage.removed.map((path) => join(dir, path)),
      hfCache: hub === undefined ? null : snapshotOf(dir, hub),
    };
  } catch (error) {
    throw withContext(`pull ${name}`, error);
  } finally {
    await close();
  }
}

interface PlannedPull {
  request: PullRequest;
  listed: ListedAhead;
  dir: string;
  files: readonly WantedFile[];
  stage: { replaces: boolean };
  link: LinkMode;
}

async function planFiles(
  session: Session,
  { request, listed, dir, files, stage, link }: PlannedPull,
): Promise<{ kept: ReadonlySet<WantedFile>; count: FetchCount }> {
  const { useCache } = request;
  const { plans, packed } = listed;
  const workers = createWorkerPool(withinOpenFiles(availableParallelism(), 8));
  try {
    const { plan, findSpace, findParts } = await checkFiles(session, workers, {
      ...request,
      root: dir,
      files,
      plans,
      force: request.force || stage.replaces,
      link,
    });
    const tooSmall = await findSpace();
    if (tooSmall !== undefined) {
      const message = `${tooSmall.message}: the pull does not use the cache`;
      session.emit({ type: "warning", message });
    }
    const assembly = await findParts();
    const count = await countFetch(plan.wanted, { session, assembly, packed, useCache });
    return { kept: new Set(plan.kept), count };
  } finally {
    workers.close();
  }
}

/** Of archives that are not unpacked yet nobody knows whether they have what a pattern names. */
function selectListed({ entries, archives }: ListedAhead, only: readonly string[]): WeightEntry[] {
  if (archives.every(({ listed }) => listed)) return selectEntries(entries, only);
  const named = only.flatMap((glob) => {
    try {
      return selectEntries(entries, [glob]);
    } catch (error) {
      if (error instanceof OcibundleError && error.code === "not_found") return [];
      throw error;
    }
  });
  const found = new Set(named);
  return only.length === 0 ? entries : entries.filter((entry) => found.has(entry));
}

const readyIn = (
  dir: string,
  files: readonly WantedFile[],
  targets: readonly MarkedTarget[],
): Promise<string | undefined> => {
  const dests = files.map(({ parts }) => parts);
  return lookAtReady(openMarkers(dir, dests, targets));
};

/** What stands in the way of directories that a pull makes. Throws `conflict`. */
async function checkDirectories(dir: string, files: readonly WantedFile[]): Promise<void> {
  const directories = new Set([dir]);
  for (const { parts } of files) {
    for (let length = 1; length < parts.length; length += 1) {
      directories.add(join(dir, ...parts.slice(0, length)));
    }
  }
  for (const path of directories) {
    // The directory that was named may be reached by a link, and none below it.
    const there = await (path === dir ? stat(path) : lstat(path)).catch(() => undefined);
    if (there === undefined || there.isDirectory()) continue;
    await refuseReadOnly(path);
    throw new OcibundleError("conflict", `"${path}" exists and is not a directory`, {
      hint: "remove it, or pull into another directory with -o",
    });
  }
}
