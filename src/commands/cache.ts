import { defineCommand, defineCommandGroup } from "../cli/command.ts";
import { OcibundleError } from "../errors.ts";
import { cachePath, listCache, pruneUnused, verifyCache } from "../model/jobs/cache.ts";
import { cachePruneReport, cacheTable, cacheVerifyReport } from "../ui/cache-report.ts";

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

const path = defineCommand({
  meta: {
    name: "path",
    description: "Print the cache directory",
    example: "ocibundle cache path",
  },
  args: {},
  async run(_, context) {
    const found = cachePath(context);
    context.stdout(context.flags.json ? json(found) : `${found.path}\n`);
  },
});

const ls = defineCommand({
  meta: {
    name: "ls",
    description: "List cached blobs, most recently used first",
    example: "ocibundle cache ls --json",
  },
  args: {},
  async run(_, context) {
    const contents = await listCache(context);
    context.stdout(context.flags.json ? json(contents) : cacheTable(contents));
  },
});

const verify = defineCommand({
  meta: {
    name: "verify",
    description: "Verify every cached blob and remove damaged ones",
    example: "ocibundle cache verify",
  },
  args: {},
  async run(_, context) {
    const found = await verifyCache(context);
    context.stdout(context.flags.json ? json(found) : cacheVerifyReport(found));
    const { damaged } = found;
    if (damaged.length === 0) return;
    const removed = damaged.filter((blob) => blob.removed).length;
    throw new OcibundleError(
      "integrity",
      `cache verify: ${damaged.length} of ${found.blobs} blobs are damaged, ${removed} removed`,
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
  async run(options, context) {
    const pruned = await pruneUnused(context, options);
    context.stdout(context.flags.json ? json(pruned) : cachePruneReport(pruned));
  },
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
