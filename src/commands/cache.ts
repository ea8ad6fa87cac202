import { defineCommand, defineCommandGroup, type ReportFormat } from "../cli/command.ts";
import type { CommandContext } from "../cli/context.ts";
import { printReport } from "../cli/print-report.ts";
import { OcibundleError } from "../errors.ts";
import { isTerminated } from "../flow/until-terminated.ts";
import { cachePath, listCache, pruneUnused, verifyCache } from "../model/jobs/cache.ts";
import { collectDirectories } from "../model/jobs/gc.ts";
import type { CachePruning } from "../report/cache.ts";
import type { GcReport } from "../report/gc.ts";
import { gcReport } from "../ui/gc-report.ts";
import { cachePruneReport, cacheTable, cacheVerifyReport } from "../ui/cache-report.ts";
import { dryRunOfDelete } from "./delete-args.ts";

const path = defineCommand({
  meta: {
    name: "path",
    description: "Print the cache directory",
    example: "ocibundle cache path",
  },
  args: {},
  run: async (_, context) => cachePath(context),
  text: ({ path: directory }) => `${directory}\n`,
});

const ls = defineCommand({
  meta: {
    name: "ls",
    description: "List cached blobs, most recently used first",
    example: "ocibundle cache ls --json",
  },
  args: {},
  run: (_, context) => listCache(context),
  text: cacheTable,
});

const verify = defineCommand({
  meta: {
    name: "verify",
    description: "Verify every cached blob and remove damaged ones",
    example: "ocibundle cache verify",
  },
  args: {},
  run: (_, context) => verifyCache(context),
  text: cacheVerifyReport,
  failure({ blobs, damaged }) {
    if (damaged.length === 0) return undefined;
    const removed = damaged.filter((blob) => blob.removed).length;
    return new OcibundleError(
      "integrity",
      `cache verify: ${damaged.length} of ${blobs} blobs are damaged, ${removed} removed`,
      {
        hint:
          removed === damaged.length
            ? "check the disk; removed blobs are downloaded again when needed"
            : "check the disk, and that the cache can be written: run `ocibundle cache verify` again then",
      },
    );
  },
});

const interval = {
  type: "duration",
  valueHint: "D",
  description: "Repeat at this interval until SIGTERM",
} as const;

/** Runs and prints a job again and again, until SIGTERM where an interval is given. The first failure ends it. */
async function repeated<Report>(
  milliseconds: number | undefined,
  context: CommandContext,
  format: ReportFormat<Report>,
  job: () => Promise<Report>,
): Promise<Report | undefined> {
  if (milliseconds === undefined) return job();
  if (milliseconds < shortestInterval) {
    throw new OcibundleError("usage", `--interval must be at least ${shortestInterval / 1000}s`, {
      hint: "use an interval such as --interval 1h",
    });
  }
  for (;;) {
    try {
      printReport(format, await job(), context);
    } catch (error) {
      if (!context.signal.aborted) throw error;
    }
    if (await isTerminated(context.signal, milliseconds)) return undefined;
  }
}

/** In milliseconds: what is shorter only heats the disk. */
const shortestInterval = 1000;

const pruneFormat: ReportFormat<CachePruning> = { text: cachePruneReport };

const prune = defineCommand({
  meta: {
    name: "prune",
    description: "Delete unused blobs; without a limit, only leftovers of interrupted runs",
    example: [
      "ocibundle cache prune --older-than 30d",
      "ocibundle cache prune --max-size 100GiB --dry-run",
      "ocibundle cache prune --max-size 100GiB --interval 1h",
    ],
  },
  args: {
    olderThan: {
      type: "duration",
      valueHint: "D",
      description: "Delete blobs not used for this long",
    },
    maxSize: {
      type: "size",
      needsUnit: true,
      valueHint: "S",
      description: "Delete the least recently used blobs until the cache is at most this size",
    },
    dryRun: dryRunOfDelete,
    interval,
  },
  run: ({ interval: every, ...options }, context) =>
    repeated(every, context, pruneFormat, () => pruneUnused(context, options)),
  ...pruneFormat,
});

const gcFormat: ReportFormat<GcReport> = { text: gcReport };

const gc = defineCommand({
  meta: {
    name: "gc",
    description: "Delete pulled directories that are no longer in use",
    example: [
      "ocibundle cache gc --older-than 30d --dry-run",
      "ocibundle cache gc --max-size 500GiB --interval 1h",
    ],
  },
  args: {
    olderThan: {
      type: "duration",
      valueHint: "D",
      description: "Delete directories not pulled into for this long",
    },
    maxSize: {
      type: "size",
      needsUnit: true,
      valueHint: "S",
      description: "Delete the least recently used directories until the rest is at most this size",
    },
    dryRun: dryRunOfDelete,
    interval,
  },
  run: ({ interval: every, ...options }, context) =>
    repeated(every, context, gcFormat, () => collectDirectories(context, options)),
  ...gcFormat,
});

/**
 * A group: `path`, `ls`, `verify`, `prune` and `gc`, each with a report of its own (`report/cache.ts`,
 * `report/gc.ts`).
 */
export const command = defineCommandGroup({
  meta: {
    name: "cache",
    description: "Manage the local cache of weights",
    example: "ocibundle cache ls",
  },
  commands: {
    path: async () => path,
    ls: async () => ls,
    verify: async () => verify,
    prune: async () => prune,
    gc: async () => gc,
  },
});
