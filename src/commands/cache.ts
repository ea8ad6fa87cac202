import { defineCommand, defineCommandGroup } from "../cli/command.ts";
import { OcibundleError } from "../errors.ts";
import { cachePath, listCache, pruneUnused, verifyCache } from "../model/jobs/cache.ts";
import { cachePruneReport, cacheTable, cacheVerifyReport } from "../ui/cache-report.ts";

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
      { hint: "check the disk; removed blobs are fetched again when needed" },
    );
  },
});

const prune = defineCommand({
  meta: {
    name: "prune",
    description: "Delete unused blobs; without a limit, only leftovers of interrupted runs",
    example: [
      "ocibundle cache prune --older-than 30d",
      "ocibundle cache prune --max-size 100GiB --dry-run",
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
      valueHint: "S",
      description: "Delete the least recently used blobs until the cache is at most this size",
    },
    dryRun: {
      type: "boolean",
      alias: "n",
      description: "Print what would be deleted, and delete nothing",
    },
  },
  run: (options, context) => pruneUnused(context, options),
  text: cachePruneReport,
});

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
  },
});
