import { defineCommand } from "../cli/command.ts";
import { pruneRepository, pruningFailure } from "../model/jobs/prune.ts";
import { pruneReport } from "../ui/prune-report.ts";
import { dryRunOfDelete } from "./delete-args.ts";

/** Reports a `RepositoryPruning`. Fails with `denied` after it where the registry could not delete a tag. */
export const command = defineCommand({
  meta: {
    name: "prune",
    description: "Delete old tags of a repository and the manifests that only they use",
    example: [
      "ocibundle prune registry.example.com/acme/llama --keep-last 10 --dry-run",
      "ocibundle prune registry.example.com/acme/llama --older-than 90d --match 'pr-*'",
    ],
  },
  args: {
    repo: { type: "positional", description: "Repository to prune" },
    keepLast: {
      type: "number",
      valueHint: "N",
      description: "Keep the N newest of the matching versions",
    },
    olderThan: {
      type: "duration",
      valueHint: "D",
      description: "Delete only versions older than this, such as 90d",
    },
    match: {
      type: "string",
      multiple: true,
      valueHint: "GLOB",
      description: "Delete only tags that match this pattern",
    },
    dryRun: dryRunOfDelete,
  },
  run: ({ repo, ...rules }, context) => pruneRepository(context, { repository: repo, ...rules }),
  text: pruneReport,
  failure: pruningFailure,
});
