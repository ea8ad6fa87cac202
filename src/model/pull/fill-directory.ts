import { availableParallelism } from "node:os";
import type { Digest } from "../../oci/digest.ts";
import { createWorkerPool } from "../../runtime/worker-pool.ts";
import type { LinkMode } from "../session/link-mode.ts";
import { withinOpenFiles } from "../../runtime/open-files.ts";
import { createDownloader } from "../../transfer/download/download.ts";
import { checkFiles } from "./check-files.ts";
import type { Markers } from "./markers.ts";
import { fetchAll, type Outcomes } from "./fetch-all.ts";
import type { FetchContext, PullSource, Seen } from "./pull-context.ts";
import { fileNameOf, type WeightEntry } from "../format/weight-entry.ts";
import type { FilePlan } from "../parts/file-plan.ts";
import { noteParts } from "./part-pull.ts";
import { goOnWithoutCache } from "./pull-warnings.ts";
import type { WantedFile } from "./pull-plan.ts";
import { fsyncPulled } from "./fsync.ts";
import type { Session } from "../session/session.ts";
import type { PullRequest } from "./pull-request.ts";

interface Pull {
  source: PullSource;
  /** The directory pulled into. */
  root: string;
  files: readonly WantedFile[];
  markers: Markers;
  /** Files that are a part of a blob. */
  parts: FetchContext["parts"];
  unpacked: FetchContext["unpacked"];
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
  /** Told of the bytes that were fetched. */
  onFetched(bytes: number): void;
}

/**
 * Brings all files to their places, flushed and marked: kept where they are right, else from the cache or the source.
 * Throws `conflict`, `integrity`, `not_found`, `denied`, `network`, `file`, `system`.
 */
export async function fillDirectory(
  session: Session,
  request: Omit<PullRequest, "source">,
  {
    source,
    root,
    files,
    parts,
    unpacked,
    plans,
    markers,
    digest,
    alone,
    link,
    seen,
    finish,
    onFetched,
  }: Pull,
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
      emit({
        type: "done",
        phase: "check",
        item: entry.name,
        outcome: "kept",
        group: "weights",
        bytes: entry.sizeUncompressed,
        file: fileNameOf(entry),
      });
    }
    if (plan.wanted.length > 0) {
      const tooSmall = await checked.findSpace();
      await markers.downloading(digest);
      const connections = flags.concurrency;
      const downloader = createDownloader({ connections, workers, emit, onFetched });
      const assembly = await checked.findParts();
      const context: FetchContext = {
        session,
        source,
        downloader,
        workers,
        assembly,
        parts,
        unpacked,
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
