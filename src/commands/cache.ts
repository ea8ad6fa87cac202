import { defineCommand, defineCommandGroup } from "../cli/command.ts";
import { OcibundleError } from "../errors.ts";
import { cachePath, listCache, pruneUnused, verifyCache } from "../model/jobs/cache.ts";
import { cachePruneReport, cacheTable, cacheVerifyReport } from "../ui/cache-report.ts";

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

const path = defineCommand({
  meta: {
    name: "path",
    description: "Print the cache's folder",
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
    description: "List what is in the cache, what was used last first",
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
    description: "Read every blob in the cache and remove what is damaged",
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
      { hint: "what was removed is fetched again when it is needed; check the disk" },
    );
  },
});

const prune = defineCommand({
  meta: {
    name: "prune",
    description:
      "Remove what was not used for long; without a limit, only what ended processes left",
    example: [
      "ocibundle cache prune --older-than 30d",
      "ocibundle cache prune --max-size 100gb --dry-run",
    ],
  },
  args: {
    olderThan: {
      type: "duration",
      valueHint: "D",
      description: "Remove what was last used longer ago",
    },
    maxSize: {
      type: "size",
      valueHint: "S",
      description: "Remove what was used longest ago until the rest is no larger",
    },
    dryRun: { type: "boolean", alias: "n", description: "Only say what would be removed" },
  },
  async run(options, context) {
    const pruned = await pruneUnused(context, options);
    context.stdout(context.flags.json ? json(pruned) : cachePruneReport(pruned));
  },
});

export const command = defineCommandGroup({
  meta: {
    name: "cache",
    description: "Show and clean the local store of weights",
    example: "ocibundle cache ls",
  },
  commands: {
    path: async () => path,
    ls: async () => ls,
    verify: async () => verify,
    prune: async () => prune,
  },
});
